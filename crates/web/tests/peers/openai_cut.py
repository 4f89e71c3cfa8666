"""A stream that breaks off is an error to OpenAI's own Python client: openai_cut.py <base url> <key> <model>"""

import sys

import openai

base_url, api_key, model = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=20)
said = ""
try:
    for chunk in client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}], stream=True):
        said += chunk.choices[0].delta.content or ""
except openai.APIError as error:
    assert "broke off" in str(error) and said, (said, error)
else:
    raise AssertionError("a part was taken for the whole: " + said)
print("ok")
