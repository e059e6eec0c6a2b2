#include "server/tracer.h"

#include <optional>
#include <string>

#include "server/request_spans.h"
#include "server/trace_context.h"

namespace torchdeploy::server {

std::optional<TraceContext> Tracer::Begin(const std::string& model,
                                          const std::optional<TraceContext>& caller) {
  if (exporter_ == nullptr || !settings_.Take(model, caller)) {
    return std::nullopt;
  }
  return caller ? ChildOf(*caller) : NewTrace();
}

void Tracer::End(const TracedRequest& request) {
  exporter_->Add(SpansOf(request));
}

void Tracer::Close() {
  if (exporter_ != nullptr) {
    exporter_->Close();
  }
}

}  // namespace torchdeploy::server
