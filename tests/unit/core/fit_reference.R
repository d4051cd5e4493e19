# Makes the numbers in fit_*_test.cpp with R (r-cran-survival, r-cran-glmnet): Rscript tests/unit/core/fit_reference.R
# The tests do not need R. The sample is that of fit_samples.hpp.
suppressMessages({library(survival); library(glmnet)})
options(digits = 15)
n <- 60
i <- 1:n
x <- sapply(1:4, function(j) sin(i * j * 1.3 + j) * j + cos(i * i * 0.7 * j))
colnames(x) <- paste0("x", 1:4)
noise <- ((i * 37) %% 61) / 61
time <- ceiling(12 * exp(-0.4 * x[, 1] + 0.2 * x[, 3]) * (0.2 + noise))
event <- as.integer((i * 17) %% 10 < 7)
y <- 2 + x[, 1] - 0.5 * x[, 4] + 3 * (noise - 0.5)
class2 <- as.integer(x[, 1] - 0.3 * x[, 2] + 4 * (noise - 0.5) > 0)
class3 <- ifelse(x[, 1] + 5 * (noise - 0.5) > 1, 2, ifelse(x[, 2] + 4 * (noise - 0.5) > 0, 1, 0))
show <- function(name, values) {
  cat(name, ": ", paste(format(values, digits = 12, trim = TRUE), collapse = ", "), "\n", sep = "")
}
cat("events", sum(event), "different event times", length(unique(time[event == 1])), "\n")

tight <- coxph.control(eps = 1e-14, toler.chol = 1e-14, iter.max = 50)
for (ties in c("efron", "breslow")) {
  fit <- coxph(Surv(time, event) ~ x, ties = ties, control = tight)
  show(paste("cox", ties), coef(fit))
  show(paste("cox errors", ties), sqrt(diag(vcov(fit))))
  show(paste("cox log likelihood", ties), fit$loglik)
  hazard <- basehaz(fit, centered = TRUE)
  hazard <- hazard[hazard$time %in% time[event == 1], ]
  show(paste("hazard first, last", ties), unlist(c(hazard[1, c("time", "hazard")], hazard[nrow(hazard), c("time", "hazard")])))
}
fit <- coxph(Surv(time, event) ~ x, control = tight)
c <- concordance(fit)
show("concordance, standard error", c(c$concordance, sqrt(c$var)))
rounded <- round(predict(fit), 0)
c <- concordance(Surv(time, event) ~ rounded, reverse = TRUE)
show("of rounded predictions", c(c$concordance, sqrt(c$var)))
near <- c(.3, .1 + .2, .5, .7, .2, .9, .4, .8)
shown <- c(1, 1, 1, 0, 1, 1, 1, 1)
of <- c(1, 0, 0, 1, 1, 0, 1, 0)
show("timefix yes", coef(coxph(Surv(near, shown) ~ of, control = tight)))
show("timefix no", coef(coxph(Surv(near, shown) ~ of, control = coxph.control(timefix = FALSE, eps = 1e-14))))

lambda <- 0.1
exact <- function(...) glmnet(..., alpha = 0, lambda = c(1, .3, lambda), thresh = 1e-22, maxit = 1e7)
last <- function(b) as.numeric(as.matrix(b)[, 3])
show("glmnet cox", last(exact(x, Surv(time, event), family = "cox")$beta))
# Censored rows at an event's time leave its risk set when 2.2e-14, which glmnet adds to theirs, is lost in large times.
days <- exact(x, Surv(time * 1000, event), family = "cox")$beta
moved <- exact(x, Surv(time * 1000 + (1 - event), event), family = "cox")$beta
show("glmnet cox, times in thousands, as they are and censored ones later: differ by",
     c(max(abs(last(days) - last(exact(x, Surv(time, event), family = "cox")$beta))),
       max(abs(last(moved) - last(exact(x, Surv(time, event), family = "cox")$beta)))))
fit <- exact(x, class2, family = "binomial")
show("glmnet binomial", c(fit$a0[3], last(fit$beta)))
fit <- exact(x, class3, family = "multinomial")
for (k in 1:3) show(paste("glmnet multinomial", k - 1), c(fit$a0[k, 3], last(fit$beta[[k]])))
deviation <- sqrt(mean((y - mean(y))^2))
fit <- glmnet(x, y, alpha = 0, lambda = c(10, 1, lambda * deviation), thresh = 1e-22, maxit = 1e7)
show("glmnet gaussian", c(fit$a0[3], last(fit$beta)))
fit <- glm(class2 ~ x, family = binomial, control = glm.control(epsilon = 1e-14))
show("glm", coef(fit))
show("glm errors", sqrt(diag(vcov(fit))))
show("lm", coef(lm(y ~ x)))
show("lm errors", sqrt(diag(vcov(lm(y ~ x)))))
wide <- sapply(1:70, function(j) sin(i * (j + 3) * 0.9 + j))
show("glmnet wide", last(exact(wide, class2, family = "binomial")$beta)[c(1, 2, 35, 70)])
show("glmnet wide cox", last(exact(wide, Surv(time, event), family = "cox")$beta)[c(1, 2, 35, 70)])

group <- as.integer(x[, 1] > 0) + as.integer(x[, 1] > 1)
test <- survdiff(Surv(time, event) ~ group)
show("log-rank", c(test$chisq, test$exp, pchisq(test$chisq, 2, lower.tail = FALSE)))
km <- summary(survfit(Surv(time, event) ~ 1), times = c(5, 10, 20, 30))
show("Kaplan-Meier", km$surv)
show("lower", km$lower)
show("upper", km$upper)

# x1 as a predictor beside the controls x3 and x4: its score at the coefficient 0, and what glm calls Rao's test of it.
for (ties in c("efron", "breslow")) {
  fit <- coxph(Surv(time, event) ~ x[, 3:4], ties = ties, control = tight)
  m <- residuals(fit, type = "martingale")
  show(paste("score beside controls, cox", ties), c(sum(x[, 1] * m), sum(x[, 1] * x[, 1] * m), m[c(1, 2, 60)]))
}
alone <- glm(class2 ~ x[, 3:4], family = binomial, control = glm.control(epsilon = 1e-14))
with <- glm(class2 ~ x[, 3:4] + x[, 1], family = binomial, control = glm.control(epsilon = 1e-14))
show("score beside controls, glm; Rao", c(sum(x[, 1] * (class2 - fitted(alone))), anova(alone, with, test = "Rao")$Rao[2]))
fit <- lm(y ~ x[, 3:4] + x[, 1])
show("coefficient beside controls, lm; sum of squares of x1 less its regression",
     c(coef(fit)[4], sum(residuals(lm(x[, 1] ~ x[, 3:4]))^2)))
