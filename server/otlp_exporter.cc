#include "server/otlp_exporter.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "server/log.h"
#include "server/request_spans.h"
#include "server/version.h"
#include "torchdeploy/status.h"

#include "otlp_trace.pb.h"

namespace torchdeploy::server {

namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

// Source: the defaults of OpenTelemetry's batch span processor, but for the times: whoever looks
// for a trace does not wait long for it, and neither does the end of the process.
constexpr size_t kMostWaiting = 2048;
constexpr size_t kBatch = 512;
constexpr std::chrono::seconds kDelay{1};
constexpr std::chrono::seconds kSendTimeout{5};

constexpr std::string_view kPlain = "http://";
constexpr std::string_view kEncrypted = "https://";

// Source: OTLP/gRPC, which codes may be tried again.
constexpr const char* kRetries =
    R"({"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.2s",
        "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]})";

// "HOST:PORT" behind the scheme; nothing when it is not that.
std::optional<std::string> TargetOf(const std::string& endpoint) {
  const std::string_view scheme = endpoint.starts_with(kPlain) ? kPlain : kEncrypted;
  if (!endpoint.starts_with(scheme)) {
    return std::nullopt;
  }
  std::string target = endpoint.substr(scheme.size());
  if (target.ends_with('/')) {
    target.pop_back();
  }
  const size_t colon = target.rfind(':');
  const bool is_host_and_port =
      colon != std::string::npos && colon > 0 && colon + 1 < target.size() &&
      target.find_first_not_of("0123456789", colon + 1) == std::string::npos &&
      target.find('/') == std::string::npos;
  return is_host_and_port ? std::optional(target) : std::nullopt;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& endpoint, const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kRetries);
  const auto credentials = endpoint.starts_with(kPlain)
                               ? grpc::InsecureChannelCredentials()
                               : grpc::SslCredentials(grpc::SslCredentialsOptions());
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

void AddAttribute(otlp::Resource& resource, const char* key, const std::string& text) {
  otlp::KeyValue* attribute = resource.add_attributes();
  attribute->set_key(key);
  attribute->mutable_value()->set_string_value(text);
}

}  // namespace

Result<std::unique_ptr<OtlpExporter>> OtlpExporter::Start(const std::string& endpoint, Log log) {
  const std::optional<std::string> target = TargetOf(endpoint);
  if (!target) {
    return Status(Code::kInvalidArgument, "'" + endpoint +
                                              "' is no endpoint for traces; http://HOST:PORT or "
                                              "https://HOST:PORT is expected");
  }
  std::unique_ptr<OtlpExporter> exporter(
      new OtlpExporter(endpoint, std::move(log), Connect(endpoint, *target)));
  try {
    exporter->thread_ = std::thread([self = exporter.get()] { self->Serve(); });
  } catch (const std::system_error& error) {
    return Status(Code::kResourceExhausted, std::string("no thread for traces: ") + error.what());
  }
  return exporter;
}

OtlpExporter::OtlpExporter(std::string endpoint, Log log,
                           const std::shared_ptr<grpc::Channel>& channel)
    : endpoint_(std::move(endpoint)), log_(std::move(log)), stub_(Service::NewStub(channel)) {}

void OtlpExporter::Close() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void OtlpExporter::Add(std::vector<Span> spans) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + spans.size() > kMostWaiting) {
      dropped_ += spans.size();
      return;
    }
    std::move(spans.begin(), spans.end(), std::back_inserter(waiting_));
  }
  changed_.notify_all();
}

void OtlpExporter::Serve() {
  for (Batch batch = AwaitBatch(); !batch.spans.empty(); batch = AwaitBatch()) {
    const grpc::Status status = Send(std::move(batch.spans));
    if (!status.ok()) {
      Tell(status.error_message());
    } else {
      Tell(batch.dropped > 0 ? "it is too slow" : "");
    }
    if (!status.ok() && batch.is_at_end) {
      return;
    }
  }
}

OtlpExporter::Batch OtlpExporter::AwaitBatch() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_ending_ || !waiting_.empty(); });
  changed_.wait_for(lock, kDelay, [this] { return is_ending_ || waiting_.size() >= kBatch; });
  const auto end =
      waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kBatch));
  Batch batch{{std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end)},
              std::exchange(dropped_, 0),
              is_ending_};
  waiting_.erase(waiting_.begin(), end);
  return batch;
}

grpc::Status OtlpExporter::Send(std::vector<Span> spans) {
  otlp::ExportTraceServiceRequest request;
  otlp::ResourceSpans* all = request.add_resource_spans();
  AddAttribute(*all->mutable_resource(), "service.name", "torchdeploy");
  AddAttribute(*all->mutable_resource(), "service.version", kVersion);
  otlp::ScopeSpans* scope = all->add_scope_spans();
  scope->mutable_scope()->set_name("torchdeploy");
  scope->mutable_scope()->set_version(kVersion);
  for (Span& span : spans) {
    *scope->add_spans() = std::move(span);
  }
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSendTimeout);
  otlp::ExportTraceServiceResponse response;
  grpc::Status status = stub_->Export(&context, request, &response);
  if (status.ok() && response.partial_success().rejected_spans() > 0) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "it rejects some: " + response.partial_success().error_message()};
  }
  return status;
}

void OtlpExporter::Tell(const std::string& problem) {
  const bool has_problem = !problem.empty();
  if (has_problem == has_told_) {
    return;
  }
  has_told_ = has_problem;
  log_.Event(has_problem ? "traces are dropped: " + endpoint_ + ": " + problem
                         : "traces are taken again by " + endpoint_);
}

}  // namespace torchdeploy::server
