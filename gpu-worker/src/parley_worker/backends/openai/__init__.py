"""Any server that speaks OpenAI's chat completions as the model: vLLM, SGLang, llama.cpp, Ollama, a hosted one."""
