"""The vendors' own Python clients ask whether a key is good: models_listed.py <anthropic url> <key> <openai url> <key>"""

import sys

import anthropic
import openai

anthropic_url, anthropic_key, openai_url, openai_key = sys.argv[1:5]
listed = anthropic.Anthropic(base_url=anthropic_url, api_key=anthropic_key, max_retries=0).models.list(limit=1)
assert [model.type for model in listed.data] == ["model"], listed
assert [model.object for model in openai.OpenAI(base_url=openai_url, api_key=openai_key, max_retries=0).models.list()] == ["model"]
for client, kind in (
    (anthropic.Anthropic(base_url=anthropic_url, api_key="sk-ant-nobody", max_retries=0), anthropic.AuthenticationError),
    (openai.OpenAI(base_url=openai_url, api_key="sk-nobody", max_retries=0), openai.AuthenticationError),
):
    try:
        client.models.list()
    except kind:
        continue
    raise AssertionError("a wrong key was not refused")
print("ok")
