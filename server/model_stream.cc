#include "server/model_stream.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

constexpr const char* kAdvance = "advance";

}  // namespace

ModelStream::ModelStream(ReplicatedObj entry, int64_t id, CallOptions options)
    : entry_(std::move(entry)), id_(id), options_(std::move(options)) {}

ModelStream::~ModelStream() {
  if (!slot_.has_value()) {
    return;
  }
  const ReplicatedObj::DueCall end{
      .args = {id_}, .kwargs = {}, .done = [](const Result<Value>&) {}, .method = kEnd};
  // When it cannot be asked for, the interpreter is going, and the stream with it.
  (void)entry_.CallWhenFree([end](size_t /*slot*/) { return std::optional(end); }, slot_);
}

void ModelStream::Next(const Done& done) const {
  const ReplicatedObj::DueCall step{
      .args = {id_}, .kwargs = {}, .done = done, .options = options_, .method = kAdvance};
  const Status asked =
      entry_.CallWhenFree([step](size_t /*slot*/) { return std::optional(step); }, slot_);
  if (!asked.ok()) {
    done(asked);
  }
}

}  // namespace torchdeploy::server
