// Tests of which sequences there are, and where.
#include "server/sequences.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::chrono::hours kLong{1};
constexpr std::chrono::milliseconds kShort{5};

using Turn = Result<std::shared_ptr<Sequences::Turn>>;

Turn Start(Sequences& sequences, const std::string& id) {
  return sequences.Enter({.id = id, .is_start = true});
}
Turn Step(Sequences& sequences, const std::string& id) {
  return sequences.Enter({.id = id});
}
Turn End(Sequences& sequences, const std::string& id) {
  return sequences.Enter({.id = id, .is_end = true});
}

TEST(SequencesTest, EachRequestOfASequenceGoesWhereItBegan) {
  const auto sequences = std::make_shared<Sequences>(kLong, 10, 3);
  for (const std::string id : {"a", "b", "c"}) {
    const size_t slot = (*Start(*sequences, id))->slot();
    EXPECT_EQ((*Step(*sequences, id))->slot(), slot);
    EXPECT_EQ((*Start(*sequences, id))->slot(), slot);
    EXPECT_EQ((*Step(*sequences, id))->slot(), slot);
  }
}

TEST(SequencesTest, OneBeginsWhereTheFewestAre) {
  const auto sequences = std::make_shared<Sequences>(kLong, 10, 2);
  std::map<size_t, int> in_slot;
  for (const std::string id : {"a", "b", "c", "d"}) {
    ++in_slot[(*Start(*sequences, id))->slot()];
  }
  EXPECT_THAT(in_slot, ElementsAre(Pair(0, 2), Pair(1, 2)));
  const size_t left = (*End(*sequences, "b"))->slot();
  EXPECT_EQ((*Start(*sequences, "e"))->slot(), left);
}

TEST(SequencesTest, WhatHasNotBegunOrHasEndedIsRefused) {
  const auto sequences = std::make_shared<Sequences>(kLong, 10, 1);
  const Status unknown = Step(*sequences, "a").status();
  EXPECT_EQ(unknown.code(), Code::kInvalidArgument);
  EXPECT_THAT(unknown.message(), HasSubstr("'a' has not begun"));
  EXPECT_TRUE(Start(*sequences, "a").ok());
  EXPECT_TRUE(End(*sequences, "a").ok());
  EXPECT_FALSE(Step(*sequences, "a").ok());
  EXPECT_TRUE(Start(*sequences, "a").ok());
}

TEST(SequencesTest, OneRequestMayBeginAndEndOne) {
  const auto sequences = std::make_shared<Sequences>(kLong, 1, 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(sequences->Enter({.id = "a", .is_start = true, .is_end = true}).ok());
    EXPECT_EQ(sequences->size(), 0U);
  }
}

TEST(SequencesTest, AnIdleOneIsForgotten) {
  const auto sequences = std::make_shared<Sequences>(kShort, 10, 1);
  EXPECT_TRUE(Start(*sequences, "a").ok());
  std::this_thread::sleep_for(2 * kShort);
  EXPECT_FALSE(Step(*sequences, "a").ok());
  EXPECT_EQ(sequences->size(), 0U);
}

TEST(SequencesTest, OneWithARequestIsNotIdle) {
  const auto sequences = std::make_shared<Sequences>(kShort, 10, 1);
  const Turn running = Start(*sequences, "a");
  std::this_thread::sleep_for(2 * kShort);
  EXPECT_TRUE(Step(*sequences, "a").ok());
}

TEST(SequencesTest, NoMoreBeginThanMayUnlessOthersAreIdle) {
  const auto sequences = std::make_shared<Sequences>(kShort, 2, 1);
  const Turn running = Start(*sequences, "a");
  {
    const Turn also_running = Start(*sequences, "b");
    const Status refused = Start(*sequences, "c").status();
    EXPECT_EQ(refused.code(), Code::kResourceExhausted);
    EXPECT_THAT(refused.message(), HasSubstr("2 are the most"));
  }
  std::this_thread::sleep_for(2 * kShort);
  EXPECT_TRUE(Start(*sequences, "c").ok());
  EXPECT_TRUE(Step(*sequences, "a").ok());
}

}  // namespace
}  // namespace torchdeploy::server
