// What ae-score does with samples that come one by one.
#include "base/error.hpp"
#include "scoring.hpp"

namespace ae::apps {
namespace {

class SampleScoring final : public Scoring {
 public:
  std::string_view noun() const override { return "tables"; }

  void declare(CLI::App& app) override {
    own(cli::add_integer(app, "--explain", details_.explain, "Name the columns with the K largest shares of the score",
                         0, 1 << 20));
    own(app.add_option("--rows", only_, "Score only these rows: a file with one 0-based row number a line"))
        ->type_name("FILE");
    own(app.add_option("--exclude-rows", exclude_, "Leave out these rows: a file with one 0-based row number a line"))
        ->type_name("FILE");
  }

  bool answers(const recipe::Checkpoint&) const override { return true; }

  void check(const apply::ScoreOptions& asked) const override {
    if (asked.inputs.size() > 1 && !(only_.empty() && exclude_.empty())) {
      throw UsageError("--rows and --exclude-rows name rows of one table; give one input");
    }
  }

  apply::FlagTotals run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint, Output& output,
                        cli::Context& context) override {
    details_.only = only_;
    details_.exclude = exclude_;
    const auto totals = apply::score_samples(checkpoint, asked, details_, output, context.reporter);
    output.commit();
    context.reporter.info(apply::totals_text(totals, checkpoint.kind().domain().samples, asked.flag));
    return totals;
  }

 private:
  apply::SampleOptions details_;
  std::string only_, exclude_;
};

}  // namespace

std::unique_ptr<Scoring> make_sample_scoring() { return std::make_unique<SampleScoring>(); }

}  // namespace ae::apps
