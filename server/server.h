// A server from its start to its end.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "server/health.h"
#include "server/inference_service.h"
#include "server/model_control.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct ServerOptions {
  ControlOptions models;
  std::string host = "127.0.0.1";
  int port = 8001;  // 0: any that is free.
  bool allow_shared_memory = false;
  Options runtime;
};

// Listens, loads, serves, drains. Besides the inference protocol it serves grpc.health.v1
// (for "" and each model's name) and server reflection.
class Server {
 public:
  // Binds the port, and answers that it is live and not ready yet.
  // kUnavailable when the port cannot be bound; otherwise as ModelControl::Check().
  static Result<std::unique_ptr<Server>> Listen(ServerOptions options);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Starts the interpreters, loads the models into each of them, and is ready. The first
  // failure is returned, naming the archive.
  Status Load();

  // Refuses new requests, returns when every accepted one has been answered, and then ends
  // open streams (health, reflection).
  void Drain();

  [[nodiscard]] const std::string& address() const { return address_; }  // "HOST:PORT"
  [[nodiscard]] const ModelRegistry& models() const { return registry_; }
  // 0 before Load().
  [[nodiscard]] size_t num_interpreters() const;

 private:
  explicit Server(ServerOptions options);
  Status Bind();

  const ServerOptions options_;
  std::string address_;
  ModelRegistry registry_;
  InferenceService service_;
  std::unique_ptr<InterpreterManager> manager_;
  std::shared_ptr<Timer> timer_;
  std::unique_ptr<ModelLoader> loader_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<Health> health_;
  std::unique_ptr<ModelControl> control_;
};

}  // namespace torchdeploy::server
