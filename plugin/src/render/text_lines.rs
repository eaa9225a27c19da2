//! Which lines of a text changed.

/// Most lines that are compared one by one; longer texts are shown as a whole.
const LINES: usize = 2000;
/// Lines shown around a change.
const AROUND: usize = 2;

/// The changed lines with a few around them, each with `-`, `+` or a space before it; `...` for what is left out.
pub fn changed(live: &str, wanted: &str) -> Vec<String> {
    let (live, wanted): (Vec<_>, Vec<_>) = (live.lines().collect(), wanted.lines().collect());
    if live.len() > LINES || wanted.len() > LINES {
        return live.iter().map(|line| format!("-{line}")).chain(wanted.iter().map(|line| format!("+{line}"))).collect();
    }
    let all = edits(&live, &wanted);
    let near = |at: usize| all[at.saturating_sub(AROUND)..(at + AROUND + 1).min(all.len())].iter().any(|line| !line.starts_with(' '));
    let mut shown = Vec::new();
    let mut left_out = false;
    for (at, line) in all.iter().enumerate() {
        if near(at) {
            if left_out {
                shown.push("...".to_owned());
            }
            left_out = false;
            shown.push(line.clone());
        } else {
            left_out = true;
        }
    }
    if left_out {
        shown.push("...".to_owned());
    }
    shown
}

/// The shortest way from one text to the other, by the longest common subsequence.
fn edits(live: &[&str], wanted: &[&str]) -> Vec<String> {
    let width = wanted.len() + 1;
    let mut common = vec![0_u16; (live.len() + 1) * width];
    for i in (0..live.len()).rev() {
        for j in (0..wanted.len()).rev() {
            common[i * width + j] = if live[i] == wanted[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < live.len() || j < wanted.len() {
        if i < live.len() && j < wanted.len() && live[i] == wanted[j] {
            lines.push(format!(" {}", live[i]));
            i += 1;
            j += 1;
        } else if j == wanted.len() || (i < live.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            lines.push(format!("-{}", live[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", wanted[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown_with_its_surroundings() {
        let live = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let wanted = "a\nb\nc\nd\nE\nf\ng\nh\ni\n";
        assert_eq!(changed(live, wanted).join("\n"), "...\n c\n d\n-e\n+E\n f\n g\n h\n+i");
        assert_eq!(changed("", "x"), ["+x"]);
        assert_eq!(changed("x", ""), ["-x"]);
        assert_eq!(changed("x", "x"), ["..."]);
    }
}
