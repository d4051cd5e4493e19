#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/structures/windows.hpp"
#include "support/helix.hpp"

namespace ae::data::structure_windows_test {
namespace {

using geometry::Backbone;
using geometry::difference, geometry::distance, geometry::dot, geometry::length;
using geometry::helix;
using geometry::Point;
using testing::ElementsAre;

Point turned(const Point& p) {
  const double a = 0.9, b = 2.3;
  const Point once{p[0] * std::cos(a) - p[1] * std::sin(a), p[0] * std::sin(a) + p[1] * std::cos(a), p[2]};
  return {once[0] - 40, once[1] * std::cos(b) - once[2] * std::sin(b) + 7,
          once[1] * std::sin(b) + once[2] * std::cos(b) + 90};
}

Backbone numbered(Backbone backbone) {
  backbone.id = "A";
  for (std::size_t i = 0; i < backbone.residues.size(); ++i) backbone.residues[i].label = std::to_string(i + 10);
  return backbone;
}

// Two chains of five in one, far apart.
Backbone broken() {
  auto backbone = numbered(helix(10));
  for (std::size_t i = 5; i < 10; ++i)
    for (auto& atom : backbone.residues[i].atoms) atom[0] += 30;
  backbone.residues[5].follows = false;
  return backbone;
}

struct Told {
  std::vector<std::string> ids;
  std::int64_t left_out = 0;
};
Told windows_of(const Backbone& backbone, Cut cut) {
  Windows windows(cut);
  Told told;
  told.left_out = windows.begin(backbone);
  for (Window window; windows.next(window);) {
    EXPECT_EQ(window.numbers.size(), (cut.residues > 0 ? cut.residues : backbone.residues.size()) * 12u);
    told.ids.push_back(window.id);
  }
  return told;
}

TEST(StructureWindows, CrossNoBreakAndTellWhatIsInNone) {
  EXPECT_THAT(windows_of(broken(), {3, 1}).ids,
              ElementsAre("A:10-12", "A:11-13", "A:12-14", "A:15-17", "A:16-18", "A:17-19"));
  EXPECT_EQ(windows_of(broken(), {3, 1}).left_out, 0);
  EXPECT_THAT(windows_of(broken(), {4, 2}).ids, ElementsAre("A:10-13", "A:15-18"));
  EXPECT_EQ(windows_of(broken(), {4, 2}).left_out, 2);
  EXPECT_THAT(windows_of(broken(), {2, 3}).ids, ElementsAre("A:10-11", "A:13-14", "A:15-16", "A:18-19"));
  EXPECT_EQ(windows_of(broken(), {2, 3}).left_out, 2);  // between windows
  EXPECT_THAT(windows_of(broken(), {6, 1}).ids, ElementsAre());
  EXPECT_EQ(windows_of(broken(), {6, 1}).left_out, 10);
  EXPECT_THAT(windows_of(broken(), {}).ids, ElementsAre("A"));
}

TEST(StructureWindows, AreTheSameHoweverTheChainLies) {
  const auto here = numbered(helix(7));
  auto there = here;
  for (auto& residue : there.residues)
    for (auto& atom : residue.atoms) atom = turned(atom);
  for (const std::int64_t residues : {0, 4}) {
    Windows a({residues, 1}), b({residues, 1});
    a.begin(here);
    b.begin(there);
    for (Window x, y; a.next(x);) {
      ASSERT_TRUE(b.next(y));
      for (std::size_t i = 0; i < x.numbers.size(); ++i) EXPECT_NEAR(x.numbers[i], y.numbers[i], 1e-9);
    }
  }
}

TEST(StructureWindows, AFrameIsUndone) {
  const auto backbone = numbered(helix(5));
  const auto frame = frame_of(backbone.residues);
  for (const auto& residue : backbone.residues) {
    for (const auto& atom : residue.atoms) {
      const auto back = frame.out_of(frame.into(atom));
      for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(back[i], atom[i], 1e-12);
    }
  }
  // By what it is said to be.
  const auto& middle = backbone.residues[2];
  const auto c = frame.into(middle.at(geometry::kC)), ca = frame.into(middle.at(geometry::kCa)),
             n = frame.into(middle.at(geometry::kN));
  EXPECT_NEAR(c[0] - ca[0], distance(middle.at(geometry::kC), middle.at(geometry::kCa)), 1e-12);
  EXPECT_NEAR(c[1] - ca[1], 0, 1e-12);
  EXPECT_NEAR(n[2] - ca[2], 0, 1e-12);
  EXPECT_GT(n[1] - ca[1], 1);
  Point mean{};
  for (const auto& residue : backbone.residues)
    for (std::size_t i = 0; i < 3; ++i) mean[i] += frame.into(residue.at(geometry::kCa))[i] / 5;
  for (const double axis : mean) EXPECT_NEAR(axis, 0, 1e-12);
}

TEST(StructureWindows, MissingAtomsStayMissingAndAnotherResidueTellsTheFrame) {
  auto backbone = numbered(helix(5));
  backbone.residues[2].observed[0] = false;
  backbone.residues[2].atoms[0] = {1e9, 1e9, 1e9};
  Windows windows({5, 1});
  EXPECT_EQ(windows.begin(backbone), 0);
  Window window;
  ASSERT_TRUE(windows.next(window));
  for (std::size_t i = 0; i < window.numbers.size(); ++i)
    EXPECT_EQ(std::isnan(window.numbers[i]), i >= 24 && i < 27) << i;
  const auto neighbour = frame_of(std::span(backbone.residues)).axes;
  const auto along = difference(backbone.residues[3].at(geometry::kC), backbone.residues[3].at(geometry::kCa));
  EXPECT_NEAR(dot(neighbour[0], along), length(along), 1e-12);
  for (auto& residue : backbone.residues) residue.observed = {false, false, false, false};
  EXPECT_EQ(frame_of(std::span(backbone.residues)).origin, (Point{0, 0, 0}));
}

TEST(StructureWindows, ColumnsAreInTheOrderOfTheArray) {
  const auto names = window_columns(2);
  ASSERT_EQ(names.size(), 24u);
  EXPECT_EQ(names[0], "r1_N_x");
  EXPECT_EQ(names[4], "r1_CA_y");
  EXPECT_EQ(names[23], "r2_O_z");
}

}  // namespace
}  // namespace ae::data::structure_windows_test
