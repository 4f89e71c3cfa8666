"""What Anthropic's own Python client makes of a refusal: anthropic_refused.py <base url> <key> <class> <words> <retries>"""

import sys

import anthropic

base_url, api_key, kind, words, retries = sys.argv[1:6]
client = anthropic.Anthropic(base_url=base_url, api_key=api_key, max_retries=int(retries), timeout=20)
ask = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
for is_stream in (False, True):
    try:
        answer = client.messages.create(stream=is_stream, **ask)
        for _ in answer if is_stream else ():
            pass
    except anthropic.APIError as error:
        assert type(error).__name__ == kind, repr(error)
        assert words in str(error), str(error)
    else:
        raise AssertionError("it was not refused")
print("ok")
