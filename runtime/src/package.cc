// The handle of an opened archive.
#include "torchdeploy/package.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "runtime/src/archive_file.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/package_state.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/session_state.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

Result<Value> CallImporter(const Package& archive, const std::string& method,
                           const std::string& package, const std::string& resource) {
  const Result<InterpreterSession> session = archive.AcquireSession();
  if (!session.ok()) {
    return session.status();
  }
  const Result<Obj> function = session->self().Attribute(method);
  if (!function.ok()) {
    return function.status();
  }
  const Result<Obj> value = function->Call({package, resource});
  return value.ok() ? value->ToValue() : value.status();
}

}  // namespace

Package::Package(std::shared_ptr<PackageState> state) : state_(std::move(state)) {}

const std::string& Package::path() const {
  return state_->archive().path();
}

ArchiveFormat Package::format() const {
  return state_->format();
}

const std::optional<Manifest>& Package::manifest() const {
  return state_->manifest();
}

ReplicatedObj Package::LoadPickle(const std::string& package, const std::string& resource) const {
  return ReplicatedObj(std::make_shared<PickleReplicas>(state_, package, resource));
}

ReplicatedObj Package::LoadEntry() const {
  const PickleName of_format = format() == ArchiveFormat::kTorchPackage
                                   ? PickleName()
                                   : PickleName{"torchdeploy", "entry.pkl"};
  const PickleName entry = manifest().has_value() ? manifest()->entry : of_format;
  return LoadPickle(entry.package, entry.resource);
}

Result<InterpreterSession> Package::AcquireSession(std::optional<size_t> slot) const {
  Result<std::shared_ptr<SessionState>> session = SessionState::Begin(state_->pool(), slot);
  if (!session.ok()) {
    return session.status();
  }
  Result<std::shared_ptr<const EngineObject>> importer = state_->ImporterIn((*session)->slot());
  if (!importer.ok()) {
    return importer.status();
  }
  (*session)->opened_for = *std::move(importer);
  (*session)->package = state_;
  return InterpreterSession(*std::move(session));
}

Result<std::string> Package::LoadBinary(const std::string& package,
                                        const std::string& resource) const {
  const Result<Value> value = CallImporter(*this, "load_binary", package, resource);
  if (!value.ok()) {
    return value.status();
  }
  return value->get<Bytes>()->data;
}

Result<std::string> Package::LoadText(const std::string& package,
                                      const std::string& resource) const {
  const Result<Value> value = CallImporter(*this, "load_text", package, resource);
  if (!value.ok()) {
    return value.status();
  }
  return *value->get<std::string>();
}

}  // namespace torchdeploy
