#include "server/server.h"

#include <chrono>
#include <climits>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "server/access_tokens.h"
#include "server/health.h"
#include "server/inference_service.h"
#include "server/interpreter_pools.h"
#include "server/listen_address.h"
#include "server/metrics.h"
#include "server/model_control.h"
#include "server/model_loader.h"
#include "server/otlp_exporter.h"
#include "server/serving_gate.h"
#include "server/text_file.h"
#include "server/timer.h"
#include "server/tls.h"
#include "server/trusted_archives.h"
#include "torchdeploy/status.h"

#include <prometheus/exposer.h>

namespace torchdeploy::server {

namespace {

constexpr std::chrono::milliseconds kStreamGrace{500};
constexpr int kShortestPingIntervalMs = 1000;

Result<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerOptions& options) {
  Result<std::shared_ptr<grpc::ServerCredentials>> credentials = MakeServerCredentials(options.tls);
  if (!credentials.ok() || options.tokens.empty()) {
    return credentials;
  }
  if (options.tls.certificate.empty()) {
    return Status(Code::kInvalidArgument,
                  "tokens are asked for without a TLS certificate: anybody on the way could read "
                  "them");
  }
  const Result<std::string> text = ReadTextFile(options.tokens);
  Result<AccessTokens> tokens =
      text.ok() ? AccessTokens::Parse(*text, options.tokens) : Result<AccessTokens>(text.status());
  if (!tokens.ok()) {
    return tokens.status();
  }
  (*credentials)->SetAuthMetadataProcessor(MakeAuthProcessor(*std::move(tokens)));
  return credentials;
}

// Has the runtime refuse archives that are not trusted.
Status TrustOnlySome(ServerOptions& options) {
  if (options.trusted_hashes.empty() && options.trusted_keys.empty()) {
    return {};
  }
  Result<TrustedArchives> trusted =
      TrustedArchives::Read(options.trusted_hashes, options.trusted_keys);
  if (!trusted.ok()) {
    return trusted.status();
  }
  options.runtime.check_archive = [trusted = *std::move(trusted)](
                                      const std::string& path, std::span<const std::byte> bytes) {
    return trusted.Check(path, bytes);
  };
  return {};
}

// ": REASON", or nothing when none is known.
std::string WhyNot(const ServerOptions& options) {
  const std::string why = WhyNotBound(options.host, options.port);
  if (!why.empty()) {
    return ": " + why;
  }
  return options.tls.certificate.empty()
             ? ""
             : ": " + options.tls.certificate + " and " + options.tls.key +
                   " are not a TLS certificate and its key in PEM";
}

}  // namespace

Server::Server(ServerOptions options, std::unique_ptr<OtlpExporter> exporter)
    : options_(std::move(options)),
      tracer_(std::move(exporter), {.rate = options_.trace_rate}),
      service_(registry_, tracer_,
               {.allow_shared_memory = options_.allow_shared_memory,
                .allow_settings = options_.allow_settings,
                .most_bytes_in_flight = options_.most_bytes_in_flight,
                .log = options_.log}) {}

Server::~Server() {
  Drain();
}

Result<std::unique_ptr<Server>> Server::Listen(ServerOptions options) {
  if (Status status = ModelControl::Check(options.models); !status.ok()) {
    return status;
  }
  if (Status status = TrustOnlySome(options); !status.ok()) {
    return status;
  }
  const Result<std::shared_ptr<grpc::ServerCredentials>> credentials = MakeCredentials(options);
  if (!credentials.ok()) {
    return credentials.status();
  }
  Result<std::unique_ptr<OtlpExporter>> exporter = std::unique_ptr<OtlpExporter>();
  if (!options.otlp_endpoint.empty()) {
    exporter = OtlpExporter::Start(options.otlp_endpoint, options.log);
  }
  if (!exporter.ok()) {
    return exporter.status();
  }
  std::unique_ptr<Server> server(new Server(std::move(options), *std::move(exporter)));
  Status status = server->Bind(*credentials);
  if (status.ok()) {
    status = server->BindMetrics();
  }
  return status.ok() ? Result(std::move(server)) : Result<std::unique_ptr<Server>>(status);
}

Status Server::Bind(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  const std::string wanted = ListenAddress(options_.host, options_.port);
  int port = 0;
  builder.AddListeningPort(wanted, credentials, &port);
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(options_.most_request_bytes);
  builder.SetMaxSendMessageSize(INT_MAX);
  // Two servers on one port would each get a part of the requests.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kShortestPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  grpc_server_ = builder.BuildAndStart();
  if (grpc_server_ == nullptr || port == 0) {
    return {Code::kUnavailable, "cannot listen on " + wanted + WhyNot(options_)};
  }
  address_ = ListenAddress(options_.host, port);
  health_ = std::make_unique<Health>(*grpc_server_->GetHealthCheckService());
  control_ = std::make_unique<ModelControl>(options_.models, registry_, *health_);
  return {};
}

Status Server::BindMetrics() {
  if (!options_.metrics_port) {
    return {};
  }
  metrics_ = std::make_shared<Metrics>(registry_);
  const std::string wanted = ListenAddress(options_.host, *options_.metrics_port);
  try {
    metrics_exposer_ = std::make_unique<prometheus::Exposer>(wanted);
    metrics_exposer_->RegisterCollectable(metrics_);
  } catch (const std::exception& error) {
    const std::string why = WhyNotBound(options_.host, *options_.metrics_port);
    return {Code::kUnavailable,
            "cannot serve metrics on " + wanted + ": " + (why.empty() ? error.what() : why)};
  }
  metrics_address_ = ListenAddress(options_.host, metrics_exposer_->GetListeningPorts().front());
  return {};
}

Status Server::Load() {
  Result<std::unique_ptr<InterpreterPools>> pools = InterpreterPools::Start(options_.runtime);
  if (!pools.ok()) {
    return pools.status();
  }
  pools_ = *std::move(pools);
  Result<std::shared_ptr<Timer>> timer = Timer::Start();
  if (!timer.ok()) {
    return timer.status();
  }
  timer_ = *std::move(timer);
  loader_ = std::make_unique<ModelLoader>(*pools_, timer_);
  if (metrics_ != nullptr) {
    metrics_->Watch(pools_->shared());
  }
  if (Status status = control_->Begin(*loader_, timer_); !status.ok()) {
    return status;
  }
  service_.Open(*control_);
  health_->Open();
  return {};
}

bool Server::Drain(std::optional<std::chrono::milliseconds> grace) {
  bool is_in_time = true;
  if (grpc_server_ != nullptr) {
    health_->Close();
    for (const auto& model : registry_.All()) {
      model->queue->Hurry();
    }
    is_in_time = service_.CloseAndWait(grace ? std::chrono::steady_clock::now() + *grace
                                             : ServingGate::TimePoint::max());
    if (!is_in_time) {
      grpc_server_->Shutdown(std::chrono::system_clock::now());  // Cancels them.
      service_.CloseAndWait();
    }
    control_->End();
    // What is still open are streams (health, reflection), which clients may never end.
    grpc_server_->Shutdown(std::chrono::system_clock::now() + kStreamGrace);
    grpc_server_.reset();
    tracer_.Close();
  }
  if (pools_ != nullptr) {
    pools_->Close();
  }
  return is_in_time;
}

size_t Server::num_interpreters() const {
  return pools_ == nullptr ? 0 : pools_->shared().size();
}

}  // namespace torchdeploy::server
