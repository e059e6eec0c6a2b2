// torchdeploy-server: the process.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "server/command_line.h"
#include "server/server.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

constexpr int kSignalExitBase = 128;

// Blocked before any thread is made, so that only WaitForEnd() gets them.
sigset_t BlockEndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void PrintReady(const Server& server) {
  std::string names;
  for (const std::string& name : server.models().Names()) {
    names += (names.empty() ? "" : ", ") + name;
  }
  const size_t count = server.num_interpreters();
  std::printf("torchdeploy: serving %s on %s with %zu interpreter%s\n", names.c_str(),
              server.address().c_str(), count, count == 1 ? "" : "s");
  std::fflush(stdout);
}

[[noreturn]] void Fail(const Status& status) {
  std::fprintf(stderr, "torchdeploy: %s\n%s", status.ToString().c_str(),
               status.traceback().c_str());
  ExitProcess(1);
}

[[noreturn]] void Run(ServerOptions options) {
  // A model that writes to a dead subprocess must not end the server.
  signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = BlockEndSignals();
  Result<std::unique_ptr<Server>> listening = Server::Listen(std::move(options));
  if (!listening.ok()) {
    Fail(listening.status());
  }
  Server& server = **listening;
  std::atomic<bool> is_loaded{false};
  std::thread loader([&] {
    if (Status status = server.Load(); !status.ok()) {
      Fail(status);
    }
    is_loaded.store(true);
    PrintReady(server);
  });
  int number = 0;
  sigwait(&signals, &number);
  if (!is_loaded.load()) {
    _exit(kSignalExitBase + number);  // Nothing was accepted yet that could be lost.
  }
  loader.join();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // A second signal ends it at once.
  server.Drain();
  ExitProcess(0);
}

}  // namespace
}  // namespace torchdeploy::server

int main(int argc, char** argv) {
  int exit_code = 0;
  std::optional<torchdeploy::server::ServerOptions> options =
      torchdeploy::server::ParseCommandLine(argc, argv, &exit_code);
  if (!options) {
    return exit_code;
  }
  torchdeploy::server::Run(*std::move(options));
}
