#include "runtime/src/isolation/python_installation.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

#include <nlohmann/json.hpp>  // IWYU pragma: keep
#include <nlohmann/json_fwd.hpp>
#include <sys/types.h>
#include <sys/wait.h>

namespace torchdeploy {

extern const std::string_view kPythonProbe;  // Embedded from python_probe.py.

namespace {

constexpr std::string_view kTorchVersion = "2.13.";

std::string ChoosePython(const std::string& configured) {
  if (!configured.empty()) {
    return configured;
  }
  const char* environment = getenv("VIRTUAL_ENV");  // NOLINT(concurrency-mt-unsafe): at start.
  if (environment != nullptr && *environment != '\0') {
    return std::string(environment) + "/bin/python";
  }
  return "python3";
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return text;
    }
  }
}

// Standard output of `python -c source`; its standard error is the host's.
Result<std::string> RunPython(const std::string& python, const std::string& source) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return SystemError("make a pipe for", python, errno);
  }
  const OwnedFd reader(ends[0]);
  OwnedFd writer(ends[1]);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  std::string name = python;
  std::string flag = "-c";
  std::string text = source;
  const std::array<char*, 4> arguments = {name.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, python.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return SystemError("run the Python", python, error);
  }
  writer = OwnedFd();
  std::string output = ReadAll(reader.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    return Status(Code::kNotFound, python + " is no working Python: it ended with wait status " +
                                       std::to_string(status));
  }
  return output;
}

Status CheckInstallation(const PythonInstallation& found, const std::string& torchdeploy_folder) {
  const std::string& python = found.executable;
  if (found.libpython.empty()) {
    return {Code::kFailedPrecondition,
            python + " has no shared libpython. On Debian install the package libpython" +
                found.version.substr(0, found.version.rfind('.')) +
                "; with pyenv build it with PYTHON_CONFIGURE_OPTS=--enable-shared"};
  }
  if (found.torch_folder.empty()) {
    return {Code::kNotFound,
            python + " has no torch: run `" + python + " -m pip install torch==2.13.0`"};
  }
  if (!found.torch_version.starts_with(kTorchVersion)) {
    return {Code::kFailedPrecondition, "torch 2.13 is needed, " + python + " has torch " +
                                           found.torch_version + " in " + found.torch_folder};
  }
  if (torchdeploy_folder.empty()) {
    return {Code::kNotFound, python + " has no torchdeploy_pkg: install it there with pip"};
  }
  return {};
}

}  // namespace

Result<PythonInstallation> FindPython(const std::string& configured) {
  const std::string python = ChoosePython(configured);
  const Result<std::string> output = RunPython(python, std::string(kPythonProbe));
  if (!output.ok()) {
    return output.status();
  }
  const nlohmann::json answer = nlohmann::json::parse(*output, nullptr, false);
  if (!answer.is_object()) {
    return Status(Code::kNotFound, python + " is no Python: it answered `" + *output + "`");
  }
  const auto text = [&](const char* key) { return answer.value(key, std::string()); };
  PythonInstallation found{.executable = text("executable"),
                           .version = text("version"),
                           .libpython = text("libpython"),
                           .torch_folder = text("torch_folder"),
                           .torch_version = text("torch_version"),
                           .engine = {},
                           .shim = {},
                           .native_engine = {}};
  const std::string torchdeploy_folder = text("torchdeploy_folder");
  if (Status status = CheckInstallation(found, torchdeploy_folder); !status.ok()) {
    return status;
  }
  const auto libraries = std::filesystem::path(torchdeploy_folder) / "lib";
  found.engine = libraries / "libtorchdeploy_engine.so";
  found.shim = libraries / "libtorchdeploy_shim.so";
  found.native_engine = libraries / "libtorchdeploy_native.so";
  return found;
}

}  // namespace torchdeploy
