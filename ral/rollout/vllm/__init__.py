"""Rollouts by vLLM: an engine in a process of its own, or servers. Only `worker` and `inside` import vLLM itself."""
