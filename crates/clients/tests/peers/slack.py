"""Slack's own Python client asks whether both tokens are good: slack.py <base url> <bot's token> <app's token>"""

import sys

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

base_url, bot, app = sys.argv[1:4]
client = WebClient(token=bot, base_url=base_url)
me = client.auth_test()
assert (me["ok"], me["user"], me["team"]) == (True, "scout", "Harbour"), me
assert client.apps_connections_open(app_token=app)["url"].startswith("wss://")
for call in (
    lambda: WebClient(token="xoxb-nobody", base_url=base_url).auth_test(),
    lambda: client.apps_connections_open(app_token="xapp-nobody"),
):
    try:
        call()
    except SlackApiError as error:
        assert error.response["error"] in ("invalid_auth", "not_allowed_token_type"), error.response
    else:
        raise AssertionError("a wrong token was not refused")
print("ok")
