// What an interpreter finds when it starts.
#include <string>
#include <vector>

#include <torch/deploy.h>

namespace torch::deploy {

Environment::~Environment() = default;

const std::vector<std::string>& Environment::getExtraPythonPaths() {
  return extra_python_paths_;
}

void PathEnvironment::configureInterpreter(Interpreter* interpreter) {
  const InterpreterSession session = interpreter->acquireSession();
  session.global("sys", "path").attr("append")({path_});
}

}  // namespace torch::deploy
