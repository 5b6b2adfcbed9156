"""llama.cpp's own loop of one token after the other, driven over stdin: one JSON line in, one out.

Runs in the environment of the peers: `python llama_loop.py FILE.gguf THREADS CONTEXT`. {"prompt": [ids], "tokens": n}
gives {"ids", "first", "seconds"}: the greedy answer, the seconds to its first token and to its last. {"prompt", "best":
n} gives {"best": [[id, score], ...]}. Calls libllama directly and lets it choose greedily: no Python between but the
loop itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import llama_cpp as api
import numpy as np


class Session:
    def __init__(self, path: str, threads: int, context: int) -> None:
        api.llama_backend_init()
        self.model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
        settings = api.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context, context, min(context, 512)
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self.context = api.llama_init_from_model(self.model, settings)
        self.greedy = api.llama_sampler_init_greedy()
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))

    def decode(self, tokens: list[int]) -> None:
        array = (api.llama_token * len(tokens))(*tokens)
        if api.llama_decode(self.context, api.llama_batch_get_one(array, len(tokens))) != 0:
            raise RuntimeError("llama_decode failed")

    def answer(self, prompt: list[int], tokens: int) -> dict[str, Any]:
        self._forget()
        began = time.perf_counter()
        self.decode(prompt)
        ids = [api.llama_sampler_sample(self.greedy, self.context, -1)]
        first = time.perf_counter() - began
        while len(ids) < tokens:
            self.decode(ids[-1:])
            ids.append(api.llama_sampler_sample(self.greedy, self.context, -1))
        return {"ids": ids, "first": first, "seconds": time.perf_counter() - began}

    def best(self, prompt: list[int], count: int) -> dict[str, Any]:
        self._forget()
        self.decode(prompt)
        scores = np.ctypeslib.as_array(api.llama_get_logits_ith(self.context, -1), (self.vocabulary,))
        return {"best": [[int(index), float(scores[index])] for index in np.argsort(-scores)[:count]]}

    def _forget(self) -> None:
        api.llama_memory_clear(api.llama_get_memory(self.context), True)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library may print
    session = Session(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "best" in asked:
            told = session.best(asked["prompt"], asked["best"])
        else:
            told = session.answer(asked["prompt"], asked["tokens"])
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
