// What a trace says of one request.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/request_times.h"
#include "server/trace_context.h"
#include "torchdeploy/status.h"

#include "otlp_trace.pb.h"

namespace torchdeploy::server {

using opentelemetry::proto::collector::trace::v1::Span;

// A request that was answered.
struct TracedRequest {
  TraceContext context;                // Its own.
  std::optional<TraceContext> caller;  // Of the span that asked for it.
  std::string model;
  std::string version;
  std::string id;
  RequestTimes::TimePoint begin;
  RequestTimes::TimePoint end;
  RequestTimes times;
  Status status;
};

// Its span, and below it those of its parts that there were: "queue", "batch", "execution",
// "response".
//
// Source: /docs/operations.md, "Traces".
std::vector<Span> SpansOf(const TracedRequest& request);

}  // namespace torchdeploy::server
