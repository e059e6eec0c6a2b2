// Archives.
#include "torchdeploy/package.h"

#include <memory>
#include <string>

#include <torch/deploy.h>

#include "runtime/compat/src/session_record.h"

namespace torch::deploy {

ReplicatedObj Package::loadPickle(const std::string& module, const std::string& file) {
  ReplicatedObj object(manager_, native_.LoadPickle(module, file));
  const InterpreterSession loaded = object.acquireSession();
  return object;
}

std::string Package::loadText(const std::string& package, const std::string& key) {
  return acquireSession().self.attr("load_text")({package, key}).toIValue().toStringRef();
}

std::string Package::loadBinary(const std::string& package, const std::string& key) {
  return acquireSession().self.attr("load_binary")({package, key}).toIValue().toStringRef();
}

InterpreterSession Package::acquireSession() {
  return SessionRecord::AcquireAny(manager_, native_);
}

ReplicatedObj Package::createMovable(const Obj& obj, InterpreterSession* session) {
  return session->createMovable(obj);
}

}  // namespace torch::deploy
