// What an archive holds, loaded once for all its replicas.
#pragma once

#include <atomic>
#include <memory>

#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

// How a server wants the model to be called; one for all replicas, those that are made later, too.
struct CallSettings {
  std::atomic<bool> inference_mode = false;
  std::atomic<bool> optimized_execution = true;
};

// Thread-safe: replicas call it at the same time.
class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  virtual ~Program() = default;

  // A replica of its model, which keeps what it needs of the program alive.
  [[nodiscard]] virtual NativeObjectPtr NewModel() const = 0;

  [[nodiscard]] const std::shared_ptr<CallSettings>& settings() const { return settings_; }

 private:
  const std::shared_ptr<CallSettings> settings_ = std::make_shared<CallSettings>();
};

}  // namespace torchdeploy::native
