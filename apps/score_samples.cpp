// What ae-score does with samples that come one by one.
#include "base/error.hpp"
#include "reading.hpp"
#include "scoring.hpp"

namespace ae::apps {
namespace {

class SampleScoring final : public Scoring {
 public:
  std::string_view noun() const override { return "tables"; }

  void declare(CLI::App& app) override {
    auto* explain = own(cli::add_integer(app, "--explain", details_.explain,
                                         "Name the columns with the K largest shares of the score", 0, 1 << 20));
    own(app.add_flag("--reasons", details_.reasons,
                     "Say the same in words, in a last column: what was observed, what was expected and is usual, and "
                     "how many per cent of the strangeness that is"))
        ->needs(explain);
    own(app.add_option("--rows", only_, "Score only these rows: a file with one 0-based row number a line"))
        ->type_name("FILE");
    own(app.add_option("--exclude-rows", exclude_, "Leave out these rows: a file with one 0-based row number a line"))
        ->type_name("FILE");
    own(app.add_option("--label", label_, "Column of the input that passes through as label, whatever the model knows"))
        ->type_name("COLUMN");
    own(app.add_option("--keep", keep_,
                       "Columns of the input that pass through unchanged, for example time,machine; repeat for several "
                       "or join them by commas"))
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("COLUMN");
    reading_.declare(app, [&](CLI::Option* option) { own(option); });
  }

  bool answers(const recipe::Checkpoint&) const override { return true; }

  void check(const apply::ScoreOptions& asked) const override {
    if (asked.inputs.size() > 1 && !(only_.empty() && exclude_.empty())) {
      throw UsageError("--rows and --exclude-rows name rows of one table; give one input");
    }
  }

  void add_files(std::vector<std::string>& inputs, std::vector<std::pair<std::string, std::string>>&) const override {
    inputs.insert(inputs.end(), {only_, exclude_});
  }

  apply::FlagTotals run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint, Output& output,
                        cli::Context& context) override {
    details_.only = only_;
    details_.exclude = exclude_;
    details_.reading = reading_.reading();
    details_.reading.label = label_;
    details_.reading.keep = keep_;
    details_.allow_empty = reading_.allow_empty();
    const auto totals = apply::score_samples(checkpoint, asked, details_, output, context.reporter);
    output.commit();
    context.reporter.info(apply::totals_text(totals, checkpoint.kind().domain().samples, asked.flag));
    return totals;
  }

  void complain(const apply::FlagTotals& totals, bool) const override {
    reading_.complain(totals.bad, totals.bad + totals.scored);
  }

 private:
  apply::SampleOptions details_;
  std::string only_, exclude_, label_;
  std::vector<std::string> keep_;
  ReadingOptions reading_;
};

}  // namespace

std::unique_ptr<Scoring> make_sample_scoring() { return std::make_unique<SampleScoring>(); }

}  // namespace ae::apps
