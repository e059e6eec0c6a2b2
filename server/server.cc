#include "server/server.h"

#include <chrono>
#include <climits>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "server/health.h"
#include "server/listen_address.h"
#include "server/model_control.h"
#include "server/model_loader.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

constexpr std::chrono::milliseconds kStreamGrace{500};
constexpr int kShortestPingIntervalMs = 1000;

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)), service_(registry_, options_.allow_shared_memory) {}

Server::~Server() {
  Drain();
}

Result<std::unique_ptr<Server>> Server::Listen(ServerOptions options) {
  if (Status status = ModelControl::Check(options.models); !status.ok()) {
    return status;
  }
  std::unique_ptr<Server> server(new Server(std::move(options)));
  if (Status status = server->Bind(); !status.ok()) {
    return status;
  }
  return server;
}

Status Server::Bind() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  const std::string wanted = ListenAddress(options_.host, options_.port);
  int port = 0;
  builder.AddListeningPort(wanted, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(INT_MAX);
  builder.SetMaxSendMessageSize(INT_MAX);
  // Two servers on one port would each get a part of the requests.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kShortestPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  grpc_server_ = builder.BuildAndStart();
  if (grpc_server_ == nullptr || port == 0) {
    const std::string why = WhyNotBound(options_.host, options_.port);
    return {Code::kUnavailable, "cannot listen on " + wanted + (why.empty() ? "" : ": " + why)};
  }
  address_ = ListenAddress(options_.host, port);
  health_ = std::make_unique<Health>(*grpc_server_->GetHealthCheckService());
  control_ = std::make_unique<ModelControl>(options_.models, registry_, *health_);
  return {};
}

Status Server::Load() {
  Result<std::unique_ptr<InterpreterManager>> manager =
      InterpreterManager::Create(options_.runtime);
  if (!manager.ok()) {
    return manager.status();
  }
  manager_ = *std::move(manager);
  Result<std::shared_ptr<Timer>> timer = Timer::Start();
  if (!timer.ok()) {
    return timer.status();
  }
  timer_ = *std::move(timer);
  loader_ = std::make_unique<ModelLoader>(*manager_, timer_);
  if (Status status = control_->Begin(*loader_, timer_); !status.ok()) {
    return status;
  }
  service_.Open(*control_);
  health_->Open();
  return {};
}

void Server::Drain() {
  if (grpc_server_ != nullptr) {
    health_->Close();
    for (const auto& model : registry_.All()) {
      model->queue->Hurry();
    }
    service_.CloseAndWait();
    control_->End();
    // What is still open are streams (health, reflection), which clients may never end.
    grpc_server_->Shutdown(std::chrono::system_clock::now() + kStreamGrace);
    grpc_server_.reset();
  }
  if (manager_ != nullptr) {
    manager_->Close();
  }
}

size_t Server::num_interpreters() const {
  return manager_ == nullptr ? 0 : manager_->size();
}

}  // namespace torchdeploy::server
