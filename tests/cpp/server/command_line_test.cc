// Tests of what the user asks of the server.
#include "server/command_line.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/log.h"
#include "server/model_control.h"
#include "server/server.h"

namespace torchdeploy::server {
namespace {

struct Parsed {
  std::optional<CommandLine> command_line;
  int exit_code = -1;
};

Parsed Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "torchdeploy-server");
  Parsed parsed;
  parsed.command_line =
      ParseCommandLine(static_cast<int>(arguments.size()), arguments.data(), &parsed.exit_code);
  return parsed;
}

TEST(CommandLineTest, ListensOnTheLocalHostUnlessToldOtherwise) {
  const Parsed parsed = Parse({"model.pt"});
  ASSERT_TRUE(parsed.command_line);
  EXPECT_EQ(parsed.command_line->server.models.path, "model.pt");
  EXPECT_EQ(parsed.command_line->server.host, "127.0.0.1");
  EXPECT_EQ(parsed.command_line->server.port, 8001);
  EXPECT_EQ(parsed.command_line->server.runtime.interpreters, 0);
}

TEST(CommandLineTest, EachOptionIsPassedOn) {
  const Parsed parsed =
      Parse({"models", "--host", "0.0.0.0", "--port", "0", "--interpreters", "3",
             "--intra-op-threads", "2", "--python", "/opt/python", "--cache", "/var/cache",
             "--pin-cores", "--max-queue-size", "7", "--allow-shared-memory"});
  ASSERT_TRUE(parsed.command_line);
  EXPECT_EQ(parsed.command_line->server.host, "0.0.0.0");
  EXPECT_EQ(parsed.command_line->server.port, 0);
  EXPECT_EQ(parsed.command_line->server.runtime.interpreters, 3);
  EXPECT_EQ(parsed.command_line->server.runtime.intra_op_threads, 2);
  EXPECT_TRUE(parsed.command_line->server.runtime.pin_cores);
  EXPECT_TRUE(parsed.command_line->server.allow_shared_memory);
  EXPECT_EQ(parsed.command_line->server.models.queue.most_waiting, 7U);
  EXPECT_EQ(parsed.command_line->server.runtime.python, "/opt/python");
  EXPECT_EQ(parsed.command_line->server.runtime.cache_folder, "/var/cache");
}

TEST(CommandLineTest, ModelsAreControlledAsIsAsked) {
  EXPECT_EQ(Parse({"models"}).command_line->server.models.mode, ControlMode::kNone);
  const Parsed by_request =
      Parse({"models", "--model-control", "explicit", "--load-model", "a", "--load-model", "b"});
  ASSERT_TRUE(by_request.command_line);
  EXPECT_EQ(by_request.command_line->server.models.mode, ControlMode::kExplicit);
  EXPECT_EQ(by_request.command_line->server.models.load_at_start,
            (std::vector<std::string>{"a", "b"}));
  const Parsed by_polling =
      Parse({"--poll-interval-s", "0.5", "--model-control", "poll", "models"});
  ASSERT_TRUE(by_polling.command_line);
  EXPECT_EQ(by_polling.command_line->server.models.mode, ControlMode::kPoll);
  EXPECT_EQ(by_polling.command_line->server.models.poll_interval, std::chrono::milliseconds(500));
  EXPECT_FALSE(Parse({"models", "--model-control", "sometimes"}).command_line);
}

TEST(CommandLineTest, TheServerIsSecuredAndWatchedAsIsAsked) {
  const Parsed parsed = Parse(
      {"models", "--tls-cert", "c.pem", "--tls-key", "k.pem", "--tls-client-ca", "ca.pem",
       "--tokens", "tokens.yaml", "--max-request-bytes", "1000", "--max-bytes-in-flight",
       "5000000000", "--metrics-port", "0", "--log-format", "json", "--drain-grace-s", "0.5"});
  ASSERT_TRUE(parsed.command_line);
  const ServerOptions& options = parsed.command_line->server;
  EXPECT_EQ(options.tls.certificate, "c.pem");
  EXPECT_EQ(options.tls.key, "k.pem");
  EXPECT_EQ(options.tls.client_ca, "ca.pem");
  EXPECT_EQ(options.tokens, "tokens.yaml");
  EXPECT_EQ(options.most_request_bytes, 1000);
  EXPECT_EQ(options.most_bytes_in_flight, 5'000'000'000U);
  EXPECT_EQ(options.metrics_port, 0);
  EXPECT_EQ(parsed.command_line->log_format, LogFormat::kJson);
  EXPECT_EQ(parsed.command_line->drain_grace, std::chrono::milliseconds(500));
}

TEST(CommandLineTest, HelpAndVersionEndWithoutError) {
  for (const char* option : {"--help", "--version"}) {
    const Parsed parsed = Parse({option});
    EXPECT_FALSE(parsed.command_line);
    EXPECT_EQ(parsed.exit_code, 0);
  }
}

TEST(CommandLineTest, AMistakeIsExitCodeTwo) {
  const std::vector<std::vector<const char*>> mistakes = {{},
                                                          {"model.pt", "--port", "65536"},
                                                          {"model.pt", "--port", "http"},
                                                          {"model.pt", "--interpreters", "-1"},
                                                          {"model.pt", "--max-queue-size", "0"},
                                                          {"model.pt", "--unheard-of"}};
  for (const auto& arguments : mistakes) {
    const Parsed parsed = Parse(arguments);
    EXPECT_FALSE(parsed.command_line);
    EXPECT_EQ(parsed.exit_code, 2);
  }
}

}  // namespace
}  // namespace torchdeploy::server
