"""Anthropic's own Python client against a vendor or a line to one: anthropic_vendor.py <base url> <key>"""

import sys

import anthropic

base_url, api_key = sys.argv[1:3]
client = anthropic.Anthropic(base_url=base_url, api_key=api_key, max_retries=0, timeout=20)
ask = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}

message = client.messages.create(**ask)
assert message.content[0].text == "vendor words marker", message
assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 12, 34)

with client.messages.stream(**ask) as stream:
    said = "".join(stream.text_stream)
    final = stream.get_final_message()
assert said == final.content[0].text == "vendor words marker", said
assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 34)

kinds = [event.type for event in client.messages.create(stream=True, **ask)]
assert (kinds[0], kinds[-1]) == ("message_start", "message_stop"), kinds


def refused(kind, key=api_key, **changes):
    try:
        anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0).messages.create(**{**ask, **changes})
    except kind as error:
        return error
    raise AssertionError(f"{changes} was not refused")


assert refused(anthropic.AuthenticationError, key="berth_llm_nobody").body["error"]["type"] == "authentication_error"
assert refused(anthropic.BadRequestError, messages=5).body["error"]["type"] == "invalid_request_error"
print("ok")
