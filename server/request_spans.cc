#include "server/request_spans.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/request_times.h"
#include "server/status_mapping.h"
#include "server/trace_context.h"
#include "torchdeploy/status.h"

#include "otlp_trace.pb.h"

namespace torchdeploy::server {

namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

using TimePoint = RequestTimes::TimePoint;

constexpr size_t kLongestIdBytes = 256;  // Of an id that is told.

// Between the clock of the figures and that of the world; taken once for all spans of a request.
class WallClock {
 public:
  [[nodiscard]] uint64_t UnixNs(TimePoint time) const {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch() + offset_)
            .count());
  }

 private:
  std::chrono::nanoseconds offset_ = std::chrono::duration_cast<std::chrono::nanoseconds>(
                                         std::chrono::system_clock::now().time_since_epoch()) -
                                     std::chrono::duration_cast<std::chrono::nanoseconds>(
                                         std::chrono::steady_clock::now().time_since_epoch());
};

template <typename Bytes>
std::string Text(const Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

void AddText(Span& span, const char* key, const std::string& text) {
  otlp::KeyValue* attribute = span.add_attributes();
  attribute->set_key(key);
  attribute->mutable_value()->set_string_value(text);
}

void AddNumber(Span& span, const char* key, int64_t number) {
  otlp::KeyValue* attribute = span.add_attributes();
  attribute->set_key(key);
  attribute->mutable_value()->set_int_value(number);
}

Span MakeSpan(const TraceContext& context, const std::string& name) {
  Span span;
  span.set_trace_id(Text(context.trace_id));
  span.set_span_id(Text(context.span_id));
  span.set_trace_state(context.state);
  span.set_name(name);
  span.set_kind(Span::SPAN_KIND_INTERNAL);
  return span;
}

Span SpanOfRequest(const TracedRequest& request, const WallClock& clock) {
  Span span = MakeSpan(request.context, "infer " + request.model);
  span.set_kind(Span::SPAN_KIND_SERVER);
  if (request.caller) {
    span.set_parent_span_id(Text(request.caller->span_id));
  }
  span.set_start_time_unix_nano(clock.UnixNs(request.begin));
  span.set_end_time_unix_nano(clock.UnixNs(request.end));
  AddText(span, "torchdeploy.model", request.model);
  AddText(span, "torchdeploy.version", request.version);
  if (!request.id.empty() && request.id.size() <= kLongestIdBytes) {
    AddText(span, "torchdeploy.request_id", request.id);
  }
  AddText(span, "rpc.system", "grpc");
  AddNumber(span, "rpc.grpc.status_code", static_cast<int64_t>(request.status.code()));
  if (request.times.batch_rows > 0) {
    AddNumber(span, "torchdeploy.batch_rows", request.times.batch_rows);
  }
  if (!request.status.ok()) {
    span.mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
    span.mutable_status()->set_message(TextOf(request.status));
  }
  return span;
}

// Nothing when the part has not been, or the system gives no random numbers.
std::optional<Span> SpanOfPart(const TracedRequest& request, const WallClock& clock,
                               const char* name, TimePoint begin, TimePoint end) {
  const bool has_been = begin != TimePoint() && end >= begin;
  const std::optional<TraceContext> context =
      has_been ? ChildOf(request.context) : std::optional<TraceContext>();
  if (!context) {
    return std::nullopt;
  }
  Span span = MakeSpan(*context, name);
  span.set_parent_span_id(Text(request.context.span_id));
  span.set_start_time_unix_nano(clock.UnixNs(begin));
  span.set_end_time_unix_nano(clock.UnixNs(end));
  return span;
}

}  // namespace

std::vector<Span> SpansOf(const TracedRequest& request) {
  const WallClock clock;
  const RequestTimes& times = request.times;
  std::vector<Span> spans;
  spans.push_back(SpanOfRequest(request, clock));
  const auto add = [&](const char* name, TimePoint begin, TimePoint end) {
    if (std::optional<Span> span = SpanOfPart(request, clock, name, begin, end)) {
      spans.push_back(*std::move(span));
    }
  };
  add("queue", times.arrival, times.taken);
  add("batch", times.taken, times.called);
  add("execution", times.called, times.returned);
  add("response", times.returned, request.end);
  return spans;
}

}  // namespace torchdeploy::server
