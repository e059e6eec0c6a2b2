// Sends spans to an OpenTelemetry collector.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "server/log.h"
#include "server/request_spans.h"
#include "torchdeploy/status.h"

#include "otlp_trace.grpc.pb.h"

namespace torchdeploy::server {

// Over OTLP/gRPC, from a thread of its own: whoever adds spans never waits. When the collector
// takes none, or not as many as there are, they are dropped, and the log says so once until it
// takes them again. Thread-safe.
class OtlpExporter {
 public:
  // `endpoint`: "http://HOST:PORT", or "https://HOST:PORT" for TLS with the system's authorities.
  // kInvalidArgument for another text; kResourceExhausted when the system gives no thread. Nobody
  // has to listen there yet.
  static Result<std::unique_ptr<OtlpExporter>> Start(const std::string& endpoint, Log log);

  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;
  ~OtlpExporter() { Close(); }

  void Add(std::vector<Span> spans);

  // Sends what waits, up to the first batch that is not taken within 5 s. What is added later is
  // not sent. Not on several threads at once.
  void Close();

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

 private:
  using Service = opentelemetry::proto::collector::trace::v1::TraceService;

  struct Batch {
    std::vector<Span> spans;
    size_t dropped = 0;  // Since the batch before.
    bool is_at_end = false;
  };

  OtlpExporter(std::string endpoint, Log log, const std::shared_ptr<grpc::Channel>& channel);
  void Serve();
  // Waits until there are enough, or the first has waited long enough. Without spans at the end,
  // when none is left.
  Batch AwaitBatch();
  [[nodiscard]] grpc::Status Send(std::vector<Span> spans);
  // In the log, unless it says so already. An empty `problem` is none.
  void Tell(const std::string& problem);

  const std::string endpoint_;
  const Log log_;
  const std::unique_ptr<Service::Stub> stub_;
  bool has_told_ = false;  // Of Serve()'s thread.

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Span> waiting_;
  size_t dropped_ = 0;
  bool is_ending_ = false;

  std::thread thread_;  // The last: it uses the others.
};

}  // namespace torchdeploy::server
