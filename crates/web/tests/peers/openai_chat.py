"""OpenAI's own Python client against a vendor or a line to one: openai_chat.py <base url> <key> <model>"""

import sys

import openai

base_url, api_key, model = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=20)
ask = {"model": model, "messages": [{"role": "user", "content": "hello"}]}

answer = client.chat.completions.create(**ask)
assert answer.choices[0].message.content == "vendor words marker", answer
assert (answer.choices[0].finish_reason, answer.usage.prompt_tokens, answer.usage.completion_tokens) == ("stop", 12, 34)

said, usage, ends = "", None, []
for chunk in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ask):
    for choice in chunk.choices:
        said += choice.delta.content or ""
        ends.append(choice.finish_reason)
    usage = chunk.usage or usage
assert (said, ends[-1], usage.completion_tokens) == ("vendor words marker", "stop", 34), (said, ends, usage)

with client.chat.completions.stream(**ask) as stream:
    for _ in stream:
        pass
    final = stream.get_final_completion()
assert final.choices[0].message.content == "vendor words marker", final


def refused(kind, key=api_key, **changes):
    try:
        openai.OpenAI(base_url=base_url, api_key=key, max_retries=0).chat.completions.create(**{**ask, **changes})
    except kind as error:
        return error
    raise AssertionError(f"{changes} was not refused")


assert refused(openai.AuthenticationError, key="berth_llm_nobody").body["message"]
assert refused(openai.BadRequestError, messages=5).body["type"] == "invalid_request_error"
print("ok")
