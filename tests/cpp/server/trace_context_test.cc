// Tests of how a client's place in a trace is read and written.
#include "server/trace_context.h"

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace torchdeploy::server {
namespace {

using testing::MatchesRegex;

const std::string kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, WhatIsReadIsWrittenTheSame) {
  const std::optional<TraceContext> context = ParseTraceParent(kParent);
  ASSERT_TRUE(context);
  EXPECT_TRUE(context->is_sampled);
  EXPECT_EQ(context->trace_id.front(), 0x0A);
  EXPECT_EQ(context->span_id.back(), 0x31);
  EXPECT_EQ(TraceParent(*context), kParent);
}

TEST(TraceContextTest, OnlyTheFlagThatSaysSampledCounts) {
  const std::string stem = kParent.substr(0, kParent.size() - 2);
  EXPECT_FALSE(ParseTraceParent(stem + "00")->is_sampled);
  EXPECT_FALSE(ParseTraceParent(stem + "fe")->is_sampled);
  EXPECT_TRUE(ParseTraceParent(stem + "ff")->is_sampled);
}

TEST(TraceContextTest, VersionsToComeAreReadAsFarAsTheyAreKnown) {
  const std::string later = "cc" + kParent.substr(2);
  EXPECT_TRUE(ParseTraceParent(later));
  EXPECT_TRUE(ParseTraceParent(later + "-what-comes"));
  EXPECT_FALSE(ParseTraceParent(later + "what-comes"));
  EXPECT_FALSE(ParseTraceParent(kParent + "-more"));
}

class NoTraceParentTest : public testing::TestWithParam<const char*> {};

TEST_P(NoTraceParentTest, IsIgnored) {
  EXPECT_FALSE(ParseTraceParent(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, NoTraceParentTest,
    testing::Values("", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                    "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
                    "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
                    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));

TEST(TraceContextTest, AChildIsAnotherSpanOfTheSameTrace) {
  TraceContext parent = *ParseTraceParent(kParent);
  parent.state = "vendor=1";
  const std::optional<TraceContext> child = ChildOf(parent);
  ASSERT_TRUE(child);
  EXPECT_EQ(child->trace_id, parent.trace_id);
  EXPECT_NE(child->span_id, parent.span_id);
  EXPECT_EQ(child->state, "vendor=1");
  EXPECT_NE(ChildOf(parent)->span_id, child->span_id);
}

TEST(TraceContextTest, ANewTraceIsRecordedAndLikeNoOther) {
  const std::optional<TraceContext> trace = NewTrace();
  ASSERT_TRUE(trace);
  EXPECT_THAT(TraceParent(*trace), MatchesRegex("00-[0-9a-f]+-[0-9a-f]+-01"));
  EXPECT_EQ(ParseTraceParent(TraceParent(*trace)), trace);
  EXPECT_NE(NewTrace()->trace_id, trace->trace_id);
}

}  // namespace
}  // namespace torchdeploy::server
