"""Language models that answer prompts: here, behind an address, remembered, and refused in one sentence."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import torch

from finegrain import InputError, files
from finegrain.models import llm as module
from finegrain.models import load_llm


@pytest.fixture(autouse=True)
def build_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    monkeypatch.delenv(module.KEY, raising=False)


@pytest.fixture
def server():
    """A server of OpenAI's protocol on loopback that says what it was asked; `plan` holds statuses to answer first."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append((self.path, asked, self.headers.get("Authorization")))
            status = self.server.plan.pop(0) if self.server.plan else 200
            self.send_response(status)
            self.end_headers()
            if "chat" in self.path:
                choice = {"message": {"content": f"answer to {asked['messages'][0]['content']}"}}
            else:
                choice = {"text": f"{asked['prompt']} goes on"}
            self.wfile.write(json.dumps({"choices": [choice]} if status == 200 else {"error": "busy"}).encode())

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.asked, found.plan = [], []
        found.address = f"http://127.0.0.1:{found.server_port}/v1"
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_a_server_is_asked_once_for_each_prompt(server):
    model = load_llm(f"{server.address}#small")
    assert model.answers(["one", "two"], max_new_tokens=7) == ["answer to one", "answer to two"]
    assert model.answers(["two", "one"], max_new_tokens=7) == ["answer to two", "answer to one"]
    assert len(server.asked) == 2
    path, asked, _ = server.asked[0]
    assert path == "/v1/chat/completions"
    assert asked == {
        "model": "small",
        "max_tokens": 7,
        "temperature": 0,
        "messages": [{"role": "user", "content": "one"}],
    }
    model.answers(["one"], max_new_tokens=8)
    assert len(server.asked) == 3


def test_a_prompt_can_be_continued_instead(server):
    assert load_llm(f"{server.address}#small", chat=False).answers(["once"]) == ["once goes on"]
    assert server.asked[0][0] == "/v1/completions"


def test_a_busy_server_is_asked_again_and_a_lasting_trouble_is_named(server):
    server.plan += [429, 503]
    assert load_llm(f"{server.address}#small").answers(["one"]) == ["answer to one"]
    assert len(server.asked) == 3
    server.plan += [500] * module.TRIES
    with pytest.raises(InputError, match=f"no answer in {module.TRIES} tries: status 500"):
        load_llm(f"{server.address}#small").answers(["two"])


def test_the_key_is_sent_and_never_kept(server, monkeypatch, tmp_path):
    monkeypatch.setenv(module.KEY, "a-secret-key")
    load_llm(f"{server.address}#small").answers(["one"])
    assert server.asked[0][2] == "Bearer a-secret-key"
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"a-secret-key" in content for content in kept)


@pytest.mark.parametrize(("status", "message"), [(401, "refuses the key"), (404, "refuses the question .status 404.")])
def test_a_refusal_is_one_sentence(server, status, message):
    server.plan.append(status)
    with pytest.raises(InputError, match=message):
        load_llm(f"{server.address}#small").answers(["one"])


def test_no_server_and_no_model_are_named():
    with pytest.raises(InputError, match=r"no language model answers at http://127\.0\.0\.1:9/v1"):
        load_llm("http://127.0.0.1:9/v1#small").answers(["one"])
    with pytest.raises(InputError, match="names no model"):
        load_llm("http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match="needs a method answers"):
        load_llm(7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny GPT-2 with a tokenizer of its own, saved as transformers does."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = ["[UNK]", "[EOS]", *"abcdefgh"]
    tokens = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(words), n_positions=64, n_embd=16, n_layer=1, n_head=2, eos_token_id=1, bos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="[UNK]", eos_token="[EOS]").save_pretrained(folder)
    return str(folder)


def test_a_model_here_says_its_likeliest_words(tiny):
    from transformers import AutoModelForCausalLM

    model = load_llm(tiny)
    (answer,) = model.answers(["a b c"], max_new_tokens=5)
    plain = AutoModelForCausalLM.from_pretrained(tiny).eval()
    tokens = model.tokenizer("a b c", return_tensors="pt")["input_ids"]
    for _ in range(5):
        with torch.inference_mode():
            best = plain(tokens).logits[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, best], dim=1)
        if best.item() == 1:
            break
    assert answer == model.tokenizer.decode(tokens[0, 3:], skip_special_tokens=True)


def test_a_chat_template_is_used_where_there_is_one(tiny):
    with pytest.raises(InputError, match="has no chat template"):
        load_llm(tiny, chat=True)
    assert not load_llm(tiny).chat


def test_the_users_own_model_is_given_back():
    class Parrot:
        def answers(self, prompts, max_new_tokens=100):
            return list(prompts)

    own = Parrot()
    assert load_llm(own) is own


SERVE = "import finegrain; from transformers.cli.transformers import main; main()"  # torchvision is mended first


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """The address of `transformers serve` on loopback, which loads the folder that a question names as its model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(files.root() / "lib")}
    words = [sys.executable, "-c", SERVE, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _until_healthy(server, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def _until_healthy(server, address, seconds=120):
    for _ in range(10 * seconds):
        assert server.poll() is None, "transformers serve ended"
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"transformers serve was not ready after {seconds} s")


def test_a_real_server_says_what_the_model_says_here(served, tiny):
    """`transformers serve` over the same folder, greedily: the same words as the model in this process."""
    here, there = load_llm(tiny, device="cpu", chat=False), load_llm(f"{served}#{tiny}", chat=False)
    prompts = ["a b c", "h"]
    said = there.answers(prompts, max_new_tokens=5)
    assert said == here.answers(prompts, max_new_tokens=5)
    assert any(said)


def test_a_real_server_puts_a_prompt_into_the_models_chat_template(served, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "chat")
    (folder / "chat_template.jinja").write_text("{% for message in messages %}a {{ message['content'] }} b{% endfor %}")
    here, there = load_llm(str(folder), device="cpu"), load_llm(f"{served}#{folder}")
    assert here.chat
    assert there.answers(["c d"], max_new_tokens=5) == here.answers(["c d"], max_new_tokens=5)


def test_a_model_that_a_real_server_lacks_is_one_sentence(served, tmp_path):
    with pytest.raises(InputError, match="status"):
        load_llm(f"{served}#{tmp_path / 'nothing'}").answers(["one"])
