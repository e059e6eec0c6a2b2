#include "server/server.h"

#include <chrono>
#include <climits>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "server/listen_address.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/request_queue.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

constexpr const char* kServiceName = "inference.GRPCInferenceService";
constexpr std::chrono::milliseconds kStreamGrace{500};
constexpr int kShortestPingIntervalMs = 1000;

Status Prefixed(const std::string& path, const Status& status) {
  return {status.code(), path + ": " + status.message(), status.type(), status.traceback()};
}

Status CheckBatching(const BatchSettings& batching, const std::optional<Manifest>& manifest) {
  if (batching.most_rows == 1 || (manifest && manifest->batch_dimension == 0)) {
    return {};
  }
  return {Code::kInvalidArgument, "batching.max_size is " + std::to_string(batching.most_rows) +
                                      ", but the archive's manifest does not have "
                                      "batch_dimension 0"};
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)), service_(registry_, options_.allow_shared_memory) {}

Server::~Server() {
  Drain();
}

Result<std::unique_ptr<Server>> Server::Listen(ServerOptions options) {
  Result<std::vector<ArchiveLocation>> archives = FindArchives(options.path);
  if (!archives.ok()) {
    return archives.status();
  }
  std::unique_ptr<Server> server(new Server(std::move(options)));
  server->archives_ = *std::move(archives);
  Status status = server->ReadSettings();
  if (status.ok()) {
    status = server->Bind();
  }
  if (!status.ok()) {
    return status;
  }
  return server;
}

Status Server::ReadSettings() {
  for (const ArchiveLocation& archive : archives_) {
    const auto [settings, is_new] = settings_.try_emplace(archive.settings, options_.queue);
    if (!is_new || archive.settings.empty()) {
      continue;
    }
    if (Status status = ReadModelSettings(archive.settings, &settings->second); !status.ok()) {
      return status;
    }
  }
  return {};
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
  AddToHealth("");
  AddToHealth(kServiceName);
  for (const ArchiveLocation& archive : archives_) {
    if (!archive.name.empty()) {
      AddToHealth(archive.name);
    }
  }
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
  for (const ArchiveLocation& archive : archives_) {
    if (Status status = LoadArchive(archive); !status.ok()) {
      return Prefixed(archive.path, status);
    }
  }
  service_.Open();
  SetHealth(true);
  return {};
}

Status Server::LoadArchive(const ArchiveLocation& archive) {
  const Result<Package> package = manager_->LoadPackage(archive.path);
  if (!package.ok()) {
    return package.status();
  }
  const std::optional<Manifest>& manifest = package->manifest();
  std::string name = archive.name;
  std::string version = archive.version;
  if (name.empty()) {
    name = manifest ? manifest->name : std::filesystem::path(archive.path).stem().string();
    version = manifest ? manifest->version : "1";
    AddToHealth(name);
  }
  const QueueSettings& queue_settings = settings_.at(archive.settings).queue;
  if (Status status = CheckBatching(queue_settings.batching, manifest); !status.ok()) {
    return status;
  }
  ReplicatedObj entry = package->LoadEntry();
  if (Status status = entry.LoadEverywhere(); !status.ok()) {
    return status;
  }
  auto queue = std::make_shared<RequestQueue>(std::move(entry), queue_settings, timer_);
  return registry_.Add({name, version, manifest, std::move(queue)});
}

void Server::AddToHealth(const std::string& name) {
  grpc_server_->GetHealthCheckService()->SetServingStatus(name, false);
}

// Once for each change: a client that watches is told of every call, also of one that
// changes nothing.
void Server::SetHealth(bool serving) {
  grpc_server_->GetHealthCheckService()->SetServingStatus(serving);
}

void Server::Drain() {
  if (grpc_server_ != nullptr) {
    SetHealth(false);
    for (const auto& model : registry_.All()) {
      model->queue->Hurry();
    }
    service_.CloseAndWait();
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
