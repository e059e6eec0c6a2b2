#include "server/command_line.h"

#include <optional>
#include <string>

#include "server/server.h"
#include "server/version.h"

#include <CLI/CLI.hpp>

namespace torchdeploy::server {

std::optional<ServerOptions> ParseCommandLine(int argc, const char* const* argv, int* exit_code) {
  constexpr int kUsageError = 2;
  constexpr int kMostInterpreters = 1024;
  constexpr int kHighestPort = 65535;
  constexpr int kLongestQueue = 1'000'000;
  ServerOptions options;
  CLI::App app("Serves PyTorch models over the Open Inference Protocol (gRPC).",
               "torchdeploy-server");
  app.set_version_flag("--version", kVersion);
  app.add_option("path", options.path, "an archive, or a folder NAME/VERSION/*.pt")->required();
  app.add_option("--host", options.host, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port to listen on; 0 takes a free one")
      ->capture_default_str()
      ->check(CLI::Range(0, kHighestPort));
  app.add_option("--interpreters", options.runtime.interpreters,
                 "number of Python interpreters; 0 is one per core")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostInterpreters));
  app.add_option("--intra-op-threads", options.runtime.intra_op_threads,
                 "threads of torch's own in each call; 0 is cores / interpreters")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostInterpreters));
  app.add_flag("--pin-cores", options.runtime.pin_cores,
               "keep each interpreter to cores of its own, as far as there are enough");
  app.add_option("--max-queue-size", options.queue.most_waiting,
                 "requests of one model that may wait; more are refused")
      ->capture_default_str()
      ->check(CLI::Range(1, kLongestQueue));
  app.add_flag("--allow-shared-memory", options.allow_shared_memory,
               "let clients on this machine pass tensors in memory that they name; it is opened "
               "with this process's rights");
  app.add_option("--python", options.runtime.python,
                 "the Python whose packages are used (default: $VIRTUAL_ENV, else python3)");
  app.add_option("--cache", options.runtime.cache_folder,
                 "where private libraries are kept (default: $TORCHDEPLOY_CACHE, else "
                 "~/.cache/torchdeploy)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : kUsageError;
    return std::nullopt;
  }
  return options;
}

}  // namespace torchdeploy::server
