//! The style of the page: it follows the reader's light or dark, fits a phone, and prints.

pub(super) const STYLE: &str = r#"
:root{--ground:#fcfcfb;--panel:#fff;--ink:#1c1d1f;--soft:#5b5f66;--rule:#dcdee1;--grid:#e9eaec;--fault:#f3d9a4;
--http:#0b62b8;--rabbit:#b3401a;--kafka:#2b7a3d;--bad:#a3171c;--good:#236b32;--shade:#0003}
@media (prefers-color-scheme:dark){:root{--ground:#15171a;--panel:#1c1f23;--ink:#e8e9eb;--soft:#a4a9b1;--rule:#363a41;
--grid:#2a2d33;--fault:#5c4613;--http:#6fb3f5;--rabbit:#f09a75;--kafka:#7fce92;--bad:#ff8d8d;--good:#8fd9a0;--shade:#000a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:70rem;margin:0 auto;padding:2.2rem 1.2rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem;text-wrap:balance}
h2{font-size:1.22rem;margin:3rem 0 .6rem;text-wrap:balance}
h3{font-size:1rem;margin:1.8rem 0 .4rem}
.when{color:var(--soft);margin:0 0 1.4rem;font-size:.92rem}
.verdict{font-size:1.08rem;border-left:4px solid var(--ink);padding:.15rem 0 .15rem 1rem;margin:0 0 1rem;max-width:52rem}
.warn{border:1px solid var(--bad);color:var(--bad);border-radius:4px;padding:.6rem .9rem;max-width:52rem}
p,li{max-width:52rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.92rem;margin:1.2rem 0 0}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:.18em}
.scroll{overflow-x:auto;container-type:inline-size;-webkit-overflow-scrolling:touch;--under:var(--ground);
background:linear-gradient(90deg,var(--under) 30%,transparent),linear-gradient(270deg,var(--under) 30%,transparent) right,
linear-gradient(90deg,var(--shade),transparent),linear-gradient(270deg,var(--shade),transparent) right;
background-size:3rem 100%,3rem 100%,1rem 100%,1rem 100%;background-repeat:no-repeat;background-attachment:local,local,scroll,scroll}
figure .scroll{--under:var(--panel)}
table{border-collapse:separate;border-spacing:0;font-size:.87rem;font-variant-numeric:tabular-nums;min-width:100%}
caption{caption-side:bottom;position:sticky;left:0;width:100cqi;text-align:left;color:var(--soft);padding:.6rem 0 0;font-size:.9rem}
th{font-weight:600;text-align:left;vertical-align:bottom;border-bottom:2px solid var(--rule);padding:.35rem .7rem .35rem 0}
td{vertical-align:top;border-bottom:1px solid var(--rule);padding:.35rem .7rem .35rem 0}
td{min-width:5.5rem}td:first-child{white-space:nowrap}td:last-child:not(.n){min-width:9rem}
th.n,td.n{min-width:0;text-align:right}td.n{white-space:nowrap}
th.n+th:not(.n),td.n+td:not(.n){padding-left:.6rem}
.wide{font-size:.8rem}.wide th,.wide td{padding-right:.5rem}.wide td{min-width:0}.wide td:last-child:not(.n){min-width:8rem}
tr.first td{border-top:2px solid var(--rule)}
td .band{color:var(--soft);font-size:.8rem;display:block}
s{color:var(--bad);text-decoration-thickness:2px}
.red{color:var(--bad);font-weight:600}
figure{margin:1.6rem 0 0;background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:1rem}
figcaption{color:var(--soft);font-size:.92rem;margin-top:.5rem}
figcaption b{color:var(--ink);font-weight:600}
svg{display:block;width:100%;min-width:42rem;height:auto}
.key{display:inline-flex;align-items:center;gap:.4rem;margin-right:1.2rem;font-size:.9rem}
.key svg{width:40px;min-width:40px;height:10px}
.legend{margin:0 0 .4rem}
.grid{stroke:var(--grid);stroke-width:1}
.tick,.axis,.note,.name{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--soft)}
.axis{font-size:12.5px}
.note{fill:var(--ink);paint-order:stroke;stroke:var(--panel);stroke-width:3px}
.name{font-weight:600;font-size:13px}
.name.http{fill:var(--http)}.name.rabbit{fill:var(--rabbit)}.name.kafka{fill:var(--kafka)}
.line{fill:none;stroke-width:2.4;stroke-linejoin:round}
.line.http{stroke:var(--http)}.line.rabbit{stroke:var(--rabbit);stroke-dasharray:10 5}.line.kafka{stroke:var(--kafka);stroke-dasharray:2.5 3.5}
.line.second{stroke-width:1.1;opacity:.85}.line.void{opacity:.45}
.mark.http{fill:var(--http)}.mark.rabbit{fill:var(--rabbit)}.mark.kafka{fill:var(--kafka)}
.knee{fill:none;stroke-width:1.6}
.knee.http{stroke:var(--http)}.knee.rabbit{stroke:var(--rabbit)}.knee.kafka{stroke:var(--kafka)}
.fault{fill:var(--fault);opacity:.55}.fault.longer{opacity:.25}
pre{overflow-x:auto;background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:.8rem;font-size:.85rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.92rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:40rem){main{padding:1.4rem .9rem 3rem}h1{font-size:1.4rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}figure{padding:.7rem}
td:first-child,th:first-child{position:sticky;left:0;z-index:1;background:var(--ground);white-space:normal;min-width:6rem;max-width:9.5rem;padding-left:.1rem}
table{font-size:.8rem}.two td:first-child,.two th:first-child{min-width:5.3rem;max-width:5.3rem;padding-right:.3rem;overflow-wrap:anywhere}
.two td:nth-child(2),.two th:nth-child(2){position:sticky;left:5.3rem;z-index:1;background:var(--ground);min-width:0;padding-right:.4rem;box-shadow:1px 0 var(--rule)}
.two td:nth-child(3),.two th:nth-child(3){padding-left:.4rem}
svg{min-width:31rem}.tick,.axis,.note{font-size:15.5px}.name{font-size:16px}}
@media print{:root{--ground:#fff;--panel:#fff;--ink:#000;--soft:#444;--rule:#bbb;--grid:#ddd;--fault:#ddd}
main{max-width:none;padding:0}body{font-size:10.5pt}nav,.csv{display:none}.scroll{overflow:visible;background:none}svg{min-width:0}
table,.wide{font-size:8pt}.wide{font-size:7pt}td .band{font-size:7pt}td,td:last-child:not(.n),.wide td:last-child:not(.n){min-width:0}th,td{padding-right:.4rem}figure,tr,caption{break-inside:avoid}h2,h3{break-after:avoid}}
"#;

#[cfg(test)]
mod tests {
    use super::STYLE;

    #[test]
    fn on_a_phone_the_names_of_a_row_stay_while_its_figures_move_below_an_opaque_ground() {
        let (_, phone) = STYLE.split_once("@media (max-width:40rem)").unwrap();
        let (phone, _) = phone.split_once("@media print").unwrap();
        let rule = phone.lines().find(|line| line.starts_with("td:first-child")).unwrap();
        for part in ["position:sticky", "left:0", "background:var(--ground)"] {
            assert!(rule.contains(part), "{rule}");
        }
        let grounds: Vec<&str> = STYLE.split("--ground:").skip(1).collect();
        assert_eq!(grounds.len(), 3, "light, dark, and paper");
        for ground in grounds {
            let colour = ground.split(';').next().unwrap();
            assert!(matches!(colour.len(), 4 | 7), "{colour} has no alpha");
        }
    }
}
