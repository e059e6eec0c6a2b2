// torchdeploy-server: the process.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/command_line.h"
#include "server/log.h"
#include "server/name_list.h"
#include "server/server.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/status.h"

#include <sys/resource.h>

namespace torchdeploy::server {
namespace {

constexpr int kSignalExitBase = 128;
constexpr int kLoadedSignal = SIGUSR1;

// Blocked before any thread is made, so that only WaitForSignal() gets them.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kLoadedSignal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int number = 0;
  sigwait(&signals, &number);
  return number;
}

// Loading on a thread of its own, which a signal does not wait for.
class Loading {
 public:
  explicit Loading(Server& server)
      : thread_([this, &server, waiting = pthread_self()] {
          status_ = server.Load();
          is_over_.store(true);
          pthread_kill(waiting, kLoadedSignal);
        }) {}

  [[nodiscard]] bool is_over() const { return is_over_.load(); }

  // REQUIRES: is_over().
  Status Join() {
    thread_.join();
    return status_;
  }

 private:
  Status status_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;  // The last: it uses the others.
};

void PrintReady(const Server& server) {
  const std::vector<std::string> models = server.models().Names();
  const std::string names = models.empty() ? "no model yet" : JoinNames(models);
  const size_t count = server.num_interpreters();
  const std::string& metrics = server.metrics_address();
  std::printf("torchdeploy: serving %s on %s with %zu interpreter%s%s\n", names.c_str(),
              server.address().c_str(), count, count == 1 ? "" : "s",
              metrics.empty() ? "" : (", metrics on http://" + metrics + "/metrics").c_str());
  std::fflush(stdout);
}

void WriteLine(const std::string& line) {
  const bool is_ended = line.ends_with('\n');  // As a traceback is.
  std::fprintf(stderr, is_ended ? "%s" : "%s\n", line.c_str());
}

void LogError(const Log& log, const Status& status) {
  log.Event(status.ToString(), status.traceback());
}

// Requests that are cancelled have this long to end, then the process does: native code cannot be
// interrupted.
constexpr std::chrono::seconds kCancelGrace{5};

void EndAfter(std::chrono::milliseconds delay, const Log& log) {
  std::thread([delay, log] {
    std::this_thread::sleep_for(delay);
    log.Event("a model's code does not end; the process does");
    _exit(1);
  }).detach();
}

// Whether all that was accepted was answered.
bool Drain(Server& server, const CommandLine& command_line) {
  EndAfter(command_line.drain_grace + kCancelGrace, command_line.server.log);
  const bool is_in_time = server.Drain(command_line.drain_grace);
  if (!is_in_time) {
    command_line.server.log.Event("what was not answered within --drain-grace-s was cancelled");
  }
  return is_in_time;
}

// A connection is an open file, and the usual soft limit of 1024 is for programs that use select().
void AllowManyConnections() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

[[noreturn]] void Run(CommandLine command_line) {
  // A model that writes to a dead subprocess must not end the server.
  signal(SIGPIPE, SIG_IGN);
  AllowManyConnections();
  const sigset_t signals = BlockSignals();
  const Log log(command_line.log_format, WriteLine);
  command_line.server.log = log;
  command_line.server.runtime.log = [log](const std::string& line) { log.Event(line); };
  command_line.server.models.log = command_line.server.runtime.log;
  Result<std::unique_ptr<Server>> listening = Server::Listen(command_line.server);
  if (!listening.ok()) {
    LogError(log, listening.status());
    ExitProcess(1);
  }
  Server& server = **listening;
  Loading loading(server);
  int number = kLoadedSignal;
  while (number == kLoadedSignal && !loading.is_over()) {
    number = WaitForSignal(signals);
  }
  if (!loading.is_over()) {
    _exit(kSignalExitBase + number);  // Nothing was accepted yet that could be lost.
  }
  const Status loaded = loading.Join();
  if (loaded.ok()) {
    PrintReady(server);
    while (number == kLoadedSignal) {
      number = WaitForSignal(signals);
    }
  } else {
    LogError(log, loaded);
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // A second signal ends it at once.
  const bool is_in_time = Drain(server, command_line);
  ExitProcess(loaded.ok() && is_in_time ? 0 : 1);
}

}  // namespace
}  // namespace torchdeploy::server

int main(int argc, char** argv) {
  // Errors are told by us, in one line that names the cause.
  setenv("GRPC_VERBOSITY", "NONE", 0);  // NOLINT(concurrency-mt-unsafe): no thread yet.
  int exit_code = 0;
  std::optional<torchdeploy::server::CommandLine> command_line =
      torchdeploy::server::ParseCommandLine(argc, argv, &exit_code);
  if (!command_line) {
    return exit_code;
  }
  torchdeploy::server::Run(*std::move(command_line));
}
