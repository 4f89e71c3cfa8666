-- What benches/reads.py has wrk do: read the agents of one tenant after the other, each with its own session.
--
--     wrk … -s benches/reads.lua ADDRESS -- FILE [check]
--
-- FILE holds a line for each tenant: its number in eight hexadecimal digits, and a Cookie header's value. With
-- `check` each answer is looked at: it must be 200 and hold ten agents of the tenant that was asked for, and of no
-- other; that costs wrk so much that it is done apart from the measuring. Without, wrk counts what is not a success.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local requests, at = {}, 0
  asked, wrong = 0, 0
  for line in io.lines(arguments[1]) do
    local tenant, cookie = line:match("^(%x+) (.+)$")
    local headers = { Cookie = cookie }
    if arguments[2] == "check" then
      -- Comes back with the answer, and tells whose it should be.
      headers["X-Request-Id"] = tenant .. "-0000-4000-8000-000000000000"
    end
    table.insert(requests, wrk.format("GET", nil, headers))
  end
  function request()
    at = at % #requests + 1
    return requests[at]
  end
  if arguments[2] == "check" then
    function response(status, headers, body)
      asked = asked + 1
      local tenant, agents = (headers["x-request-id"] or ""):sub(1, 8), 0
      for owner in body:gmatch('"id":"agt_(%x%x%x%x%x%x%x%x)') do
        agents = owner == tenant and agents + 1 or -100
      end
      if status ~= 200 or agents ~= 10 then
        wrong = wrong + 1
      end
    end
  end
end

function done(summary, latency)
  local errors, asked, wrong = summary.errors, 0, 0
  for _, thread in ipairs(threads) do
    asked, wrong = asked + thread:get("asked"), wrong + thread:get("wrong")
  end
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"not_ok":%d,"broken":%d,"looked_at":%d,"wrong":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, asked, wrong))
end
