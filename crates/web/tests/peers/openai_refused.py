"""What OpenAI's own Python client makes of a refusal: openai_refused.py <base url> <key> <model> <class> <words>"""

import sys

import openai

base_url, api_key, model, kind, words = sys.argv[1:6]
client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=20)
for is_stream in (False, True):
    try:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}], stream=is_stream)
        for _ in answer if is_stream else ():
            pass
    except openai.APIError as error:
        assert type(error).__name__ == kind, repr(error)
        assert words in str(error), str(error)
    else:
        raise AssertionError("it was not refused")
print("ok")
