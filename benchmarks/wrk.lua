-- The load of benchmarks/serving.py: POSTs the bodies of a list of files in turn, and prints one line of JSON.
-- wrk -s wrk.lua URL -- LIST CONTENT_TYPE TOKEN     LIST: a file with the path of a body on each line
local requests, sent = {}, 0

function init(arguments)
  local headers = {["Content-Type"] = arguments[2]}
  if arguments[3] ~= nil and arguments[3] ~= "" then headers["Authorization"] = "Bearer " .. arguments[3] end
  for name in io.lines(arguments[1]) do
    local file = assert(io.open(name, "rb"))
    requests[#requests + 1] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end

function request()
  sent = sent + 1
  return requests[sent % #requests + 1]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "bad_status": %d, "lost": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
