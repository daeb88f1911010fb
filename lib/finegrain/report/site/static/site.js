// What the pages do by themselves: filter the gallery, sort and save tables, enlarge figures, copy commands.
"use strict";

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// --- gallery: state lives in the address, so that a filtered view can be linked ---
function gallery() {
  const form = document.querySelector(".fg-filter");
  if (!form) return;
  const cards = [...document.querySelectorAll(".fg-card")];
  const fields = { text: "fg-text", task: "fg-task", verdict: "fg-verdict" };
  for (const key in fields) fields[key] = document.getElementById(fields[key]);
  const shown = form.querySelector(".fg-shown");
  const apply = () => {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const fits = (!fields.task.value || card.dataset.task === fields.task.value)
        && (!fields.verdict.value || card.dataset.verdict === fields.verdict.value)
        && words.every((word) => card.dataset.text.includes(word));
      card.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${cards.length} notebooks`;
  };
  const remember = () => {
    const state = new URLSearchParams();
    for (const key in fields) if (fields[key].value) state.set(key, fields[key].value);
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
    apply();
  };
  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const key in fields) fields[key].value = state.get(key) ?? "";
    apply();
  };
  form.addEventListener("input", remember);
  addEventListener("hashchange", recall);
  recall();
}

// --- tables ---
const value = (cell) => {
  const text = cell.textContent.trim().replace(/−/g, "-");
  const number = /^[+-]?[\d,]*\.?\d+(e[+-]?\d+)?/i.exec(text);
  return number ? Number(number[0].replace(/,/g, "")) : text.toLowerCase();
};

function order(table, column, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const kind = (x) => (x === "–" || x === "" ? 2 : typeof x === "number" ? 0 : 1); // numbers, texts, nothing
  const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row.cells[column]) }));
  rows.sort((a, b) => {
    const kinds = kind(a.key) - kind(b.key);
    if (kinds) return kinds;
    const by = typeof a.key === "number" ? a.key - b.key : String(a.key).localeCompare(String(b.key));
    return (ascending ? by : -by) || a.place - b.place;
  });
  body.append(...rows.map(({ row }) => row));
}

function csv(table) {
  const quoted = (cell) => `"${cell.textContent.trim().replace(/"/g, '""')}"`;
  return [...table.rows].map((row) => [...row.cells].map(quoted).join(",")).join("\n") + "\n";
}

function tables() {
  document.querySelectorAll("article table").forEach((table, number) => {
    const head = table.tHead?.rows[table.tHead.rows.length - 1];
    if (!head || !table.tBodies.length) return;
    const name = table.caption?.textContent.trim() || `Table ${number + 1}`;
    const frame = make("div", { className: "fg-table", tabIndex: 0 });
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", name);
    table.replaceWith(frame);
    frame.append(table);
    [...head.cells].forEach((header, column) => {
      const button = make("button", { type: "button", className: "fg-sort" }, ...header.childNodes);
      if (!button.textContent.trim()) button.setAttribute("aria-label", "Sort by this column");
      button.addEventListener("click", () => order(table, column, header));
      header.setAttribute("scope", "col");
      header.replaceChildren(button);
    });
    const save = make("button", { type: "button", className: "fg-csv", textContent: "CSV" });
    save.setAttribute("aria-label", `Save as CSV: ${name}`);
    save.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
      const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60).replace(/^-|-$/g, "");
      make("a", { href: address, download: `${slug || "table"}.csv` }).click();
      URL.revokeObjectURL(address);
    });
    frame.before(make("div", { className: "fg-tools" }, save));
  });
}

// --- figures ---
function figures() {
  const large = make("img");
  const close = make("button", { type: "button", className: "fg-close", textContent: "Close" });
  const dialog = make("dialog", { className: "fg-dialog" }, close, large);
  dialog.setAttribute("aria-label", "Enlarged figure");
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest("a, .fg-cards")) continue;
    const button = make("button", { type: "button", className: "fg-zoom" });
    button.setAttribute("aria-label", `Enlarge: ${image.alt || "figure"}`);
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      large.src = image.src;
      large.alt = image.alt;
      dialog.showModal();
    });
  }
}

// --- commands ---
function commands() {
  for (const block of document.querySelectorAll(".fg-command")) {
    const button = make("button", { type: "button", className: "fg-copy", textContent: "Copy" });
    block.querySelector("pre").tabIndex = 0;
    button.addEventListener("click", async () => {
      const text = block.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block.querySelector("code"));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
}

// --- what the theme leaves out: a heading's level, and code that scrolls by keyboard ---
function accessible() {
  for (const caption of document.querySelectorAll("p.caption[role=heading]")) caption.setAttribute("aria-level", "2");
  for (const code of document.querySelectorAll("article pre")) code.tabIndex = 0;
}

accessible();
gallery();
tables();
figures();
commands();
