#include "server/command_line.h"

#include <chrono>
#include <climits>
#include <map>
#include <optional>
#include <string>

#include "server/log.h"
#include "server/model_control.h"
#include "server/server.h"
#include "server/version.h"
#include "torchdeploy/options.h"

#include <CLI/CLI.hpp>

namespace torchdeploy::server {

namespace {

constexpr int kUsageError = 2;
constexpr int kMostInterpreters = 1024;
constexpr int kHighestPort = 65535;
constexpr int kLongestQueue = 1'000'000;
constexpr int kLowestTraceRate = INT_MAX;
constexpr double kShortestPollS = 0.1;
constexpr double kLongestPollS = 86'400;
constexpr double kLongestDrainS = 86'400;

// An option in seconds, whose default is `shown`.
void AddSeconds(CLI::App& app, const char* name, std::chrono::milliseconds& value, const char* help,
                const char* shown, const CLI::Range& range) {
  const auto set = [&value](double seconds) {
    value = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::duration<double>(seconds));
  };
  app.add_option_function<double>(name, set, help)->default_str(shown)->check(range);
}

void AddListening(CLI::App& app, ServerOptions& options) {
  app.add_option("--host", options.host, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port to listen on; 0 takes a free one")
      ->capture_default_str()
      ->check(CLI::Range(0, kHighestPort));
  app.add_flag("--allow-shared-memory", options.allow_shared_memory,
               "let clients on this machine pass tensors in memory that they name; it is opened "
               "with this process's rights");
}

void AddModels(CLI::App& app, ControlOptions& options) {
  app.add_option("path", options.path, "an archive, or a folder NAME/VERSION/*.pt, *.pt2")
      ->required();
  app.add_option("--max-queue-size", options.queue.most_waiting,
                 "requests of one model that may wait; more are refused")
      ->capture_default_str()
      ->check(CLI::Range(1, kLongestQueue));
  const std::map<std::string, ControlMode> modes = {{"none", ControlMode::kNone},
                                                    {"explicit", ControlMode::kExplicit},
                                                    {"poll", ControlMode::kPoll}};
  app.add_option("--model-control", options.mode,
                 "which models are served: none (all, to the end), explicit (by request), poll "
                 "(all, as the folder changes)")
      ->default_str("none")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--load-model", options.load_at_start,
                 "a model to be served from the start with --model-control explicit; * is all; "
                 "repeatable")
      ->allow_extra_args(false);
  AddSeconds(app, "--poll-interval-s", options.poll_interval,
             "seconds between two looks at the folder with --model-control poll", "15",
             CLI::Range(kShortestPollS, kLongestPollS));
}

void AddSecurity(CLI::App& app, ServerOptions& options) {
  app.add_option("--tls-cert", options.tls.certificate,
                 "the server's certificate (PEM): connections are then encrypted");
  app.add_option("--tls-key", options.tls.key, "its key (PEM)");
  app.add_option("--tls-client-ca", options.tls.client_ca,
                 "only clients with a certificate that one of these signed may connect (PEM)");
  app.add_option("--tokens", options.tokens,
                 "a file with the tokens that clients must have: inference, model_control, "
                 "statistics; needs TLS");
  app.add_option("--trusted-sha256", options.trusted_hashes,
                 "load only archives whose SHA-256 is in this file, as sha256sum writes it");
  app.add_option("--trusted-keys", options.trusted_keys,
                 "load only archives with a signature ARCHIVE.sig by one of these ed25519 public "
                 "keys (PEM); with --trusted-sha256 either is enough");
  app.add_flag("--allow-settings", options.allow_settings,
               "let clients change what is traced and logged (TraceSetting, LogSettings)");
  app.add_option("--max-request-bytes", options.most_request_bytes, "a larger request is refused")
      ->capture_default_str()
      ->check(CLI::Range(1, INT_MAX));
  app.add_option("--max-bytes-in-flight", options.most_bytes_in_flight,
                 "of all requests that are not answered; more are refused; 0 is no limit")
      ->capture_default_str();
}

void AddOperations(CLI::App& app, CommandLine& command_line) {
  app.add_option("--metrics-port", command_line.server.metrics_port,
                 "serve Prometheus metrics on this port, over HTTP; 0 takes a free one")
      ->check(CLI::Range(0, kHighestPort));
  const std::map<std::string, LogFormat> formats = {{"text", LogFormat::kText},
                                                    {"json", LogFormat::kJson}};
  app.add_option("--log-format", command_line.log_format, "text, or JSON, one object a line")
      ->default_str("text")
      ->transform(CLI::CheckedTransformer(formats));
  app.add_option("--otlp-endpoint", command_line.server.otlp_endpoint,
                 "send traces to this OpenTelemetry collector over gRPC: http://HOST:PORT, or "
                 "https://");
  app.add_option("--trace-rate", command_line.server.trace_rate,
                 "trace one of as many requests of each model, and those whose client says so")
      ->capture_default_str()
      ->check(CLI::Range(1, kLowestTraceRate));
  AddSeconds(app, "--drain-grace-s", command_line.drain_grace,
             "seconds that requests have to end on SIGTERM; then they are cancelled", "30",
             CLI::Range(0.0, kLongestDrainS));
}

void AddRuntime(CLI::App& app, Options& options) {
  app.add_option("--interpreters", options.interpreters,
                 "number of Python interpreters; 0 is one per core")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostInterpreters));
  app.add_option("--intra-op-threads", options.intra_op_threads,
                 "threads of torch's own in each call; 0 is cores / interpreters")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostInterpreters));
  app.add_flag("--pin-cores", options.pin_cores,
               "keep each interpreter to cores of its own, as far as there are enough");
  app.add_option("--python", options.python,
                 "the Python whose packages are used (default: $VIRTUAL_ENV, else python3)");
  app.add_option("--cache", options.cache_folder,
                 "where private libraries are kept (default: $TORCHDEPLOY_CACHE, else "
                 "~/.cache/torchdeploy)");
}

}  // namespace

std::optional<CommandLine> ParseCommandLine(int argc, const char* const* argv, int* exit_code) {
  CommandLine command_line;
  ServerOptions& options = command_line.server;
  CLI::App app("Serves PyTorch models over the Open Inference Protocol (gRPC).",
               "torchdeploy-server");
  app.set_version_flag("--version", kVersion);
  AddModels(app, options.models);
  AddListening(app, options);
  AddSecurity(app, options);
  AddOperations(app, command_line);
  AddRuntime(app, options.runtime);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : kUsageError;
    return std::nullopt;
  }
  return command_line;
}

}  // namespace torchdeploy::server
