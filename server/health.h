// The standard health protocol's answers.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include <grpcpp/health_check_service_interface.h>

namespace torchdeploy::server {

// Of services by name: "" and the protocol's are the server itself, the others its models. None
// serves before Open() and after Close(). Thread-safe.
class Health {
 public:
  // `service` lives until Close().
  explicit Health(grpc::HealthCheckServiceInterface& service);

  // Whether a model is served; from now on its name is known.
  void Set(const std::string& model, bool is_served);

  void Open();
  // For good.
  void Close();

 private:
  // REQUIRES: mutex_ is held.
  void Publish(const std::string& name, bool is_serving);

  std::mutex mutex_;
  grpc::HealthCheckServiceInterface& service_;
  std::map<std::string, bool> models_;     // Guarded by mutex_.
  std::map<std::string, bool> published_;  // Guarded by mutex_.
  bool is_open_ = false;                   // Guarded by mutex_.
};

}  // namespace torchdeploy::server
