-- For wrk: posts the files that are its arguments in turn, and prints what load_generator prints.
local requests = {}
local sent = 0

function init(files)
  local headers = {["Content-Type"] = "application/octet-stream"}
  for _, name in ipairs(files) do
    local file = assert(io.open(name, "rb"))
    requests[#requests + 1] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency, _)
  local failed = summary.errors
  local errors = failed.connect + failed.read + failed.write + failed.status + failed.timeout
  print(string.format(
    '{"requests_per_second": %.1f, "p50_us": %.1f, "p99_us": %.1f, "errors": %d, "answer_bytes": %d}',
    summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
    errors, summary.bytes / math.max(1, summary.requests)))
end
