-- Posts one body over and over. Arguments: the file that holds the body; names and values of fields.
-- Prints one line of JSON: latencies in milliseconds, and the errors by kind.

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*all")
  for at = 2, #args, 2 do
    wrk.headers[args[at]] = args[at + 1]
  end
  file:close()
end

function done(summary, latency, requests)
  local e = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, '
      .. '"status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    e.status, e.connect, e.read, e.write, e.timeout))
end
