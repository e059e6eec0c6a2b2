// Tests of what the user asks of the server.
#include "server/command_line.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/model_control.h"
#include "server/server.h"

namespace torchdeploy::server {
namespace {

struct Parsed {
  std::optional<ServerOptions> options;
  int exit_code = -1;
};

Parsed Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "torchdeploy-server");
  Parsed parsed;
  parsed.options =
      ParseCommandLine(static_cast<int>(arguments.size()), arguments.data(), &parsed.exit_code);
  return parsed;
}

TEST(CommandLineTest, ListensOnTheLocalHostUnlessToldOtherwise) {
  const Parsed parsed = Parse({"model.pt"});
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->models.path, "model.pt");
  EXPECT_EQ(parsed.options->host, "127.0.0.1");
  EXPECT_EQ(parsed.options->port, 8001);
  EXPECT_EQ(parsed.options->runtime.interpreters, 0);
}

TEST(CommandLineTest, EachOptionIsPassedOn) {
  const Parsed parsed =
      Parse({"models", "--host", "0.0.0.0", "--port", "0", "--interpreters", "3",
             "--intra-op-threads", "2", "--python", "/opt/python", "--cache", "/var/cache",
             "--pin-cores", "--max-queue-size", "7", "--allow-shared-memory"});
  ASSERT_TRUE(parsed.options);
  EXPECT_EQ(parsed.options->host, "0.0.0.0");
  EXPECT_EQ(parsed.options->port, 0);
  EXPECT_EQ(parsed.options->runtime.interpreters, 3);
  EXPECT_EQ(parsed.options->runtime.intra_op_threads, 2);
  EXPECT_TRUE(parsed.options->runtime.pin_cores);
  EXPECT_TRUE(parsed.options->allow_shared_memory);
  EXPECT_EQ(parsed.options->models.queue.most_waiting, 7U);
  EXPECT_EQ(parsed.options->runtime.python, "/opt/python");
  EXPECT_EQ(parsed.options->runtime.cache_folder, "/var/cache");
}

TEST(CommandLineTest, ModelsAreControlledAsIsAsked) {
  EXPECT_EQ(Parse({"models"}).options->models.mode, ControlMode::kNone);
  const Parsed by_request =
      Parse({"models", "--model-control", "explicit", "--load-model", "a", "--load-model", "b"});
  ASSERT_TRUE(by_request.options);
  EXPECT_EQ(by_request.options->models.mode, ControlMode::kExplicit);
  EXPECT_EQ(by_request.options->models.load_at_start, (std::vector<std::string>{"a", "b"}));
  const Parsed by_polling =
      Parse({"--poll-interval-s", "0.5", "--model-control", "poll", "models"});
  ASSERT_TRUE(by_polling.options);
  EXPECT_EQ(by_polling.options->models.mode, ControlMode::kPoll);
  EXPECT_EQ(by_polling.options->models.poll_interval, std::chrono::milliseconds(500));
  EXPECT_FALSE(Parse({"models", "--model-control", "sometimes"}).options);
}

TEST(CommandLineTest, HelpAndVersionEndWithoutError) {
  for (const char* option : {"--help", "--version"}) {
    const Parsed parsed = Parse({option});
    EXPECT_FALSE(parsed.options);
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
    EXPECT_FALSE(parsed.options);
    EXPECT_EQ(parsed.exit_code, 2);
  }
}

}  // namespace
}  // namespace torchdeploy::server
