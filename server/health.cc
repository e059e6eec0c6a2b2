#include "server/health.h"

#include <mutex>
#include <string>

#include <grpcpp/health_check_service_interface.h>

namespace torchdeploy::server {

namespace {

constexpr const char* kServiceName = "inference.GRPCInferenceService";

}  // namespace

Health::Health(grpc::HealthCheckServiceInterface& service) : service_(service) {
  const std::lock_guard lock(mutex_);
  Publish("", false);
  Publish(kServiceName, false);
}

void Health::Set(const std::string& model, bool is_served) {
  const std::lock_guard lock(mutex_);
  models_[model] = is_served;
  Publish(model, is_open_ && is_served);
}

void Health::Open() {
  const std::lock_guard lock(mutex_);
  is_open_ = true;
  for (const auto& [model, is_served] : models_) {
    Publish(model, is_served);
  }
  Publish(kServiceName, true);
  Publish("", true);
}

void Health::Close() {
  const std::lock_guard lock(mutex_);
  service_.Shutdown();
}

// Once for each change: a client that watches is told of every call, also of one that changes
// nothing.
void Health::Publish(const std::string& name, bool is_serving) {
  const auto [published, is_new] = published_.try_emplace(name, is_serving);
  if (is_new || published->second != is_serving) {
    published->second = is_serving;
    service_.SetServingStatus(name, is_serving);
  }
}

}  // namespace torchdeploy::server
