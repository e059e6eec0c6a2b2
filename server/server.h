// A server from its start to its end.
#pragma once

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <grpcpp/grpcpp.h>

#include "server/health.h"
#include "server/inference_service.h"
#include "server/interpreter_pools.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/model_control.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/otlp_exporter.h"
#include "server/timer.h"
#include "server/tls.h"
#include "server/tracer.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

#include <prometheus/exposer.h>

namespace torchdeploy::server {

struct ServerOptions {
  ControlOptions models;
  std::string host = "127.0.0.1";
  int port = 8001;  // 0: any that is free.
  TlsOptions tls = {};
  // A file of AccessTokens; empty: everybody may do all that the server does. REQUIRES: with TLS.
  std::string tokens = {};
  // Files of TrustedArchives; both empty: every archive may be loaded.
  std::string trusted_hashes = {};
  std::string trusted_keys = {};
  // Of Prometheus, over HTTP, on the same host; 0: any that is free.
  std::optional<int> metrics_port = {};
  bool allow_shared_memory = false;
  bool allow_settings = false;     // Clients may change what is traced and logged.
  std::string otlp_endpoint = {};  // Where traces go; empty: there are none.
  int64_t trace_rate = 1000;       // Of the requests that are in no trace, one of as many.
  int most_request_bytes = INT_MAX;
  size_t most_bytes_in_flight = 0;  // Of all requests that are not answered; 0: no limit.
  Log log = {};
  Options runtime;
};

// Listens, loads, serves, drains. Besides the inference protocol it serves grpc.health.v1
// (for "" and each model's name) and server reflection.
class Server {
 public:
  // Binds the ports, and answers that it is live and not ready yet.
  // kUnavailable when a port cannot be bound; otherwise as ModelControl::Check(),
  // MakeServerCredentials(), AccessTokens::Parse(), TrustedArchives::Read() and
  // OtlpExporter::Start().
  static Result<std::unique_ptr<Server>> Listen(ServerOptions options);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Starts the interpreters, loads the models into each of them, and is ready. The first
  // failure is returned, naming the archive.
  Status Load();

  // Refuses new requests, returns when every accepted one has been answered, and then ends
  // open streams (health, reflection). Those that are not answered after `grace` are cancelled;
  // false if there were any. Waits for native code of theirs that does not end.
  bool Drain(std::optional<std::chrono::milliseconds> grace = {});

  [[nodiscard]] const std::string& address() const { return address_; }  // "HOST:PORT"
  // The same of the metrics; empty when there are none.
  [[nodiscard]] const std::string& metrics_address() const { return metrics_address_; }
  [[nodiscard]] const ModelRegistry& models() const { return registry_; }
  // That models share; 0 before Load().
  [[nodiscard]] size_t num_interpreters() const;

 private:
  Server(ServerOptions options, std::unique_ptr<OtlpExporter> exporter);
  Status Bind(const std::shared_ptr<grpc::ServerCredentials>& credentials);
  Status BindMetrics();

  const ServerOptions options_;
  std::string address_;
  std::string metrics_address_;
  std::unique_ptr<InterpreterPools> pools_;  // Outlive the models.
  ModelRegistry registry_;
  Tracer tracer_;
  InferenceService service_;
  std::shared_ptr<Timer> timer_;
  std::unique_ptr<ModelLoader> loader_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<Health> health_;
  std::unique_ptr<ModelControl> control_;
  std::shared_ptr<Metrics> metrics_;
  std::unique_ptr<prometheus::Exposer> metrics_exposer_;  // The last: its threads use the others.
};

}  // namespace torchdeploy::server
