// What an archive holds, loaded once for all its replicas.
#pragma once

#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

// Thread-safe: replicas call it at the same time.
class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  virtual ~Program() = default;

  // A replica of its model, which keeps what it needs of the program alive.
  [[nodiscard]] virtual NativeObjectPtr NewModel() const = 0;
};

}  // namespace torchdeploy::native
