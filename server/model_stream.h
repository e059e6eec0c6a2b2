// The items that a model yields to one request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// Begun by a call of kBegin with its id as the first argument; the replica that is called then
// keeps it. Each further item is a call of its own, so that other requests run between them.
//
// Source: docs/manifest.md, "Models that yield".
class ModelStream {
 public:
  static constexpr const char* kBegin = "begin";
  static constexpr const char* kEnd = "end";

  // An item, or None after the last.
  using Done = std::function<void(Result<Value>)>;

  // `id`: from 1 on, unique among the streams of `entry`. `options`: of each further item.
  ModelStream(ReplicatedObj entry, int64_t id, CallOptions options);
  ModelStream(const ModelStream&) = delete;
  ModelStream& operator=(const ModelStream&) = delete;
  // Ends it in its interpreter, after its calls that are under way, without waiting.
  ~ModelStream();

  [[nodiscard]] int64_t id() const { return id_; }

  // Once, before its first call.
  void SetSlot(size_t slot) { slot_ = slot; }

  // REQUIRES: there is a slot; the item before has come. `done` as of ReplicatedObj::CallAsync().
  void Next(const Done& done) const;

 private:
  const ReplicatedObj entry_;
  const int64_t id_;
  const CallOptions options_;
  std::optional<size_t> slot_;
};

}  // namespace torchdeploy::server
