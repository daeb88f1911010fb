"""Language models that answer prompts: a causal model of transformers, or a server that speaks OpenAI's protocol.

Answers are remembered on disk one by one (`finegrain.memo`), by model, prompt and settings, so that an interrupted run
goes on where it stopped and nothing is asked, or paid for, twice. Decoding is greedy: the likeliest word each time.
"""

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from finegrain.errors import InputError
from finegrain.memo import cached

KEY = "OPENAI_API_KEY"  # read from the environment, sent to the server, and written nowhere
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 120.0
TRIES, WAIT_SECONDS = 4, 1.0  # after a busy or broken answer; each wait is twice as long as the one before


@runtime_checkable
class AnswersPrompts(Protocol):
    """What a user's own language model has to be: an object with this method."""

    def answers(self, prompts: Sequence[str], max_new_tokens: int = 100) -> list[str]:
        """The answer to each prompt, without the prompt."""


@dataclasses.dataclass(frozen=True, eq=False)
class LocalModel:
    """A causal model in this process. chat: prompts are put into the model's chat template, if it has one."""

    name: str
    digest: str
    model: Any
    tokenizer: Any
    chat: bool

    def answers(self, prompts: Sequence[str], max_new_tokens: int = 100, progress: str | None = None) -> list[str]:
        """The answer to each prompt, at most so many tokens long. progress: label of a bar; None shows none."""
        return _each(self, prompts, max_new_tokens, progress)

    def memo_content(self) -> list:
        """What its answers depend on, for `finegrain.memo`."""
        return [self.digest, self.chat, str(self.model.device)]

    def _answer(self, prompt: str, max_new_tokens: int) -> str:
        import torch

        if self.chat:
            told = [{"role": "user", "content": prompt}]
            tokens = self.tokenizer.apply_chat_template(
                told, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        else:
            tokens = self.tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        tokens = tokens.to(self.model.device)
        with torch.inference_mode():
            written = self.model.generate(
                **tokens,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
            )
        return self.tokenizer.decode(written[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Server:
    """A model behind an address such as "http://127.0.0.1:8000/v1": vLLM, Ollama, `transformers serve`, OpenAI."""

    address: str
    model: str
    chat: bool = True

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.address}#{self.model}"

    def answers(self, prompts: Sequence[str], max_new_tokens: int = 100, progress: str | None = None) -> list[str]:
        """The answer to each prompt, at most so many tokens long. progress: label of a bar; None shows none."""
        return _each(self, prompts, max_new_tokens, progress)

    def memo_content(self) -> list:
        """What its answers depend on, as far as a server says, for `finegrain.memo`."""
        return [self.address, self.model, self.chat]

    def _answer(self, prompt: str, max_new_tokens: int) -> str:
        settings = {"model": self.model, "max_tokens": max_new_tokens, "temperature": 0}
        if self.chat:
            told = self._ask("chat/completions", settings | {"messages": [{"role": "user", "content": prompt}]})
        else:
            told = self._ask("completions", settings | {"prompt": prompt})
        try:
            choice = told["choices"][0]
            return (choice["message"]["content"] if self.chat else choice["text"]) or ""
        except (KeyError, IndexError, TypeError):
            raise InputError(
                f"{self.address} does not answer as OpenAI's protocol says; got {str(told)[:200]}"
            ) from None

    def _ask(self, path: str, question: dict) -> dict:
        import httpx

        key = os.environ.get(KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        why, wait = "", WAIT_SECONDS
        for attempt in range(TRIES):
            if attempt:
                time.sleep(wait)
                wait *= 2
            try:
                answer = httpx.post(f"{self.address}/{path}", json=question, headers=headers, timeout=timeout)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol):
                raise InputError(
                    f"no language model answers at {self.address}; start the server, or check the address in llm="
                ) from None
            except httpx.TransportError as error:
                why = f"no answer ({type(error).__name__})"
                continue
            if answer.status_code in (401, 403):
                raise InputError(f"{self.address} refuses the key; set {KEY} to one that it takes")
            if answer.status_code == 429 or answer.status_code >= 500:
                why = f"status {answer.status_code}"
                continue
            if answer.status_code != 200:
                raise InputError(
                    f"{self.address} refuses the question (status {answer.status_code}): {answer.text.strip()[:200]}"
                )
            try:
                return answer.json()
            except ValueError:
                raise InputError(
                    f"{self.address} answers something that is not JSON; is it the right address?"
                ) from None
        raise InputError(f"{self.address} gave no answer in {TRIES} tries: {why}; try again later")


def load_llm(name, scale: str = "default", device: str = "auto", chat: bool | None = None):
    """A language model by name: an object with `answers`.

    name: an address with a model, "http://127.0.0.1:8000/v1#model"; a causal model as `load_causal_lm` takes it (a
        backbone such as "doc-gpt", a folder, a hub id "owner/name@revision"); or the user's own object with `answers`,
        which is given back as it is.
    chat: whether prompts are put as a user's turn of a chat; None: servers always, models here if they have a template
        for it. A prompt whose text is to be continued needs chat=False.

    Raises InputError if there is no such model. A server is asked only with the first prompt.
    """
    if isinstance(name, AnswersPrompts):
        return name
    if not isinstance(name, str):
        raise InputError(f"a language model needs a method answers, and {type(name).__name__} has none")
    if name.startswith(("http://", "https://")):
        address, _, model = name.partition("#")
        if not model:
            raise InputError(f"llm={name} names no model; write it behind the address: {name}#MODEL")
        return Server(address.rstrip("/"), model, True if chat is None else chat)
    from finegrain.models.language import load_causal_lm
    from finegrain.models.sources import find_model

    found = find_model(name, scale)
    model, tokenizer = load_causal_lm(name, scale, device)
    template = getattr(tokenizer, "chat_template", None) is not None
    if chat and not template:
        raise InputError(f"{name} has no chat template; take an instruct model, or chat=False")
    return LocalModel(name, found.digest, model, tokenizer, template if chat is None else chat)


def one_answer(model, prompt: str, max_new_tokens: int) -> str:
    """One answer, computed; what `answers` remembers by its content."""
    return model._answer(prompt, max_new_tokens)


def _each(model, prompts, max_new_tokens, progress):
    from tqdm.auto import tqdm

    ask = cached(one_answer)
    return [ask(model, prompt, max_new_tokens) for prompt in tqdm(prompts, desc=progress, disable=progress is None)]
