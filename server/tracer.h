// Traces requests: decides which, and has their spans sent.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/otlp_exporter.h"
#include "server/request_spans.h"
#include "server/trace_context.h"
#include "server/trace_settings.h"

namespace torchdeploy::server {

// Thread-safe.
class Tracer {
 public:
  // Null `exporter`: nothing is traced.
  Tracer(std::unique_ptr<OtlpExporter> exporter, TraceSettings settings)
      : exporter_(std::move(exporter)), settings_(settings) {}

  // Where a request that begins is in its trace; nothing when it is not traced.
  std::optional<TraceContext> Begin(const std::string& model,
                                    const std::optional<TraceContext>& caller);

  // Of a request that Begin() gave a place.
  void End(const TracedRequest& request);

  // As OtlpExporter's.
  void Close();

  [[nodiscard]] bool can_trace() const { return exporter_ != nullptr; }
  [[nodiscard]] TraceSettingsByModel& settings() { return settings_; }

 private:
  const std::unique_ptr<OtlpExporter> exporter_;
  TraceSettingsByModel settings_;
};

}  // namespace torchdeploy::server
