"""Corrections, powers, quantities in several units, units whose case counts: judged by hand before the rules ran."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.choices import chosen_letter
from ral.types import Example, UserError

COLORS = ("A. red", "B. blue", "C. green", "D. black")
SAME = r"""
25 ⇐ 5^2 ⏐ 25 ⇐ 5² ⏐ 25 ⇐ 5**2 ⏐ 5^2 ⇐ 25 ⏐ 1024 ⇐ 2^{10} ⏐ 8 ⇐ $2^3$ ⏐ 8 ⇐ The answer is 2^3. ⏐ 1500 ⇐ 1.5×10^3
1500 ⇐ 1.5e3 ⏐ 0.125 ⇐ 2^-3 ⏐ 0.125 ⇐ 2^(-3) ⏐ -8 ⇐ -2^3 ⏐ 25 ⇐ 5^2 = 25 ⏐ 25 cm ⇐ 5² cm ⏐ 2.25 ⇐ 1.5^2 ⏐ 1 ⇐ 1^5
5'6" ⇐ 5 ft 6 in ⏐ 5 ft 6 in ⇐ 5′6″ ⏐ 5 ft 6 in ⇐ 66 inches ⏐ 5 ft 6 in ⇐ 5.5 ft ⏐ 5 feet 6 inches ⇐ 5’6”
66 in ⇐ 5'6" ⏐ 5'6 ⇐ 5 ft 6 in ⏐ 5 ft 11 in ⇐ 5'11" tall ⏐ 3 lb 4 oz ⇐ 52 oz ⏐ 3 lb 4 oz ⇐ 3 pounds 4 ounces
3.25 lb ⇐ 3 lb 4 oz ⏐ 2 h 30 min ⇐ It takes 2 hours and 30 minutes. ⏐ 150 min ⇐ 2小时30分钟 ⏐ 2小时30分 ⇐ 2.5小时
200 s ⇐ 3分20秒 ⏐ 3分20秒 ⇐ 3:20 ⏐ 175 cm ⇐ 1米75 ⏐ 1.75 m ⇐ 1m75 ⏐ 2h30 ⇐ 2 h 30 min
5.50 dollars ⇐ 5 dollars and 50 cents ⏐ $5.50 ⇐ $5 and 50 cents ⏐ 5.5元 ⇐ 5元5角 ⏐ 5元5角 ⇐ 5.50元 ⏐ 30.25° ⇐ 30°15'
1年6个月 ⇐ 18 months ⏐ 1 kg 500 g ⇐ 1.5 kg ⏐ 5 m 20 cm ⇐ 520 cm ⏐ 1 hour, 15 minutes, and 30 seconds ⇐ 4530 s
6 feet 2 inches ⇐ 6 ft 2 in ⏐ 6 ft. 2 in. ⇐ 74 in ⏐ 2 days 3 hours ⇐ 51 h ⏐ 1 bar ⇐ 1000 mbar ⏐ 1 bar ⇐ 100 kPa
1013.25 hPa ⇐ 1 atm ⏐ 1 atm ⇐ 101325 Pa ⏐ 760 mmHg ⇐ 1 atm ⏐ 14.7 psi ⇐ 101.4 kPa ⏐ 5 kW ⇐ 5000 W ⏐ 5 kW ⇐ 5 kw
5 kW ⇐ 5 KW ⏐ 2 hp ⇐ 2 horsepower ⏐ 100 hp ⇐ 74.6 kW ⏐ 5 GB ⇐ 40 Gb ⏐ 5 GB ⇐ 5 gb ⏐ 5 Gb ⇐ 5 gigabits
100 MB/s ⇐ 800 Mbps ⏐ 100 Mbps ⇐ 12.5 MB/s ⏐ 100 Mbps ⇐ 100 Mb/s ⏐ 100 Mbps ⇐ 100 megabits per second
100 Mbps ⇐ 100 mbps ⏐ 5 GB ⇐ 5 gigabytes ⏐ 100 MHz ⇐ 100 mhz ⏐ 2.4 GHz ⇐ 2400 MHz ⏐ 5 μF ⇐ 5 uF ⏐ 5 MΩ ⇐ 5000 kΩ
5 kΩ ⇐ 5 kohm ⏐ 5 mS ⇐ 5000 μS ⏐ 5 mM ⇐ 5000 μM ⏐ 2000 Cal ⇐ 2000 kcal ⏐ 5 lb ⇐ 5 pounds ⏐ £5 ⇐ 5 pounds
5 pounds ⇐ 80 oz ⏐ 5 pounds ⇐ £5 ⏐ 5 Mm ⇐ 5000 km ⏐ 5 km ⇐ 5 KM ⏐ 5 ⇐ not 4 but 5 ⏐ 5 ⇐ 不是4,是5 ⏐ 5 ⇐ 不是4，而是5
5 ⇐ It is not 4, it is 5. ⏐ 5 ⇐ not four but five ⏐ 5 ⇐ 不是四,是五 ⏐ 5 ⇐ five, not four ⏐ 7 ⇐ 5, wait, no, it is 7
7 ⇐ wait, no, it is 7 ⏐ 7 ⇐ 5? No, 7 ⏐ 7 ⇐ 5. No, wait, 7. ⏐ 7 ⇐ 5, I mean 7 ⏐ 7 ⇐ 5. Actually, it is 7.
7 ⇐ 5,不对,是7 ⏐ 5 ⇐ No doubt it is 5 ⏐ 5 ⇐ undoubtedly 5 ⏐ 5 ⇐ without a doubt, 5 ⏐ 5 ⇐ 毫无疑问,5
5 ⇐ There is no doubt that it's 5 ⏐ 5 ⇐ 毫无疑问是五个 ⏐ 5 ⇐ No wonder it is 5 ⏐ 2.5 ⇐ 2 and 1/2 ⏐ 3/4 ⇐ three-fourths
75% ⇐ three quarters ⏐ 7.5 ⇐ 7 1/2 hours ⏐ 50 ⇐ 50 per cent ⏐ $1,200.50 ⇐ 1200.5 dollars ⏐ $3 ⇐ three dollars
¥100 ⇐ 100块 ⏐ 100元 ⇐ 一百元 ⏐ $1.2 million ⇐ $1,200,000
€20 ⇐ 20 euro ⏐ 3 ⇐ $3.00 ⏐ 5 ⇐ 答案是5个苹果 ⏐ 12 ⇐ 一共有十二个
3 ⇐ 三本书 ⏐ 2 ⇐ 两只猫 ⏐ 8 ⇐ 图中有8个人 ⏐ 30% ⇐ 三成 ⏐ 0.5 ⇐ 零点五
2024 ⇐ 2024年 ⏐ 5 ⇐ 总共5 ⏐ 15 ⇐ 十五岁 ⏐ 7 ⇐ Answer: 7 ⏐ 7 ⇐ = 7
7 ⇐ It's 7! ⏐ 7 ⇐ The total is 3 + 4 = 7 ⏐ 7 ⇐ 7 (seven) ⏐ 7 ⇐ I count 7 cats. ⏐ 7 ⇐ There seem to be 7
7 ⇐ exactly seven people ⏐ 12.5 ⇐ 12.5 square feet ⏐ 100 km/h ⇐ 100 kilometres per hour ⏐ 98.6 °F ⇐ 37 °C
20 ⇐ 20 years old ⏐ 16 fl oz ⇐ 1 pint ⏐ 2 decades ⇐ 20 years
3 ⇐ Three (3) ⏐ 5 ⇐ 5 (not 6) ⏐ 5 ⇐ Not 6, but 5 cats ⏐ 5 ⇐ no, 5 ⏐ 5 ⇐ It's 5, no doubt ⏐ 5 ⇐ 5, without a doubt
5 ⇐ 5, of course ⏐ 5 ⇐ definitely 5 ⏐ 5 ⇐ 不是6个,是5个 ⏐ 5 ⇐ 是5,不是6 ⏐ 5 ⇐ 5个,不是6个 ⏐ 5 ⇐ 应该是5
5 ⇐ 我认为是5 ⏐ 5 ⇐ 等等,应该是5 ⏐ 5 ⇐ 6，哦不，是5 ⏐ 5 ⇐ 答案为五 ⏐ 12 ⇐ 1 dozen ⏐ 5 ⇐ 6... no wait, 5
1500 ⇐ 1.5 × 10³ ⏐ 1500 ⇐ 1.5 * 10**3 ⏐ 0.0015 ⇐ 1.5e-3 ⏐ 1500 ⇐ 1.5E3 ⏐ 1500 ⇐ 1.5 x 10^3 ⏐ 2^3 ⇐ 8
10^6 ⇐ 1 million ⏐ 10^6 ⇐ 1000000 ⏐ 81 ⇐ 3⁴ ⏐ 25 m^2 ⇐ 5^2 m^2 ⏐ 9 ⇐ (-3)^2 ⏐ 9 ⇐ 3^{2} ⏐ 100 km/h ⇐ 100 KM/H
100 mph ⇐ 100 MPH ⏐ 5 kg ⇐ 5 KG ⏐ 5 ml ⇐ 5 mL ⏐ 5 mg ⇐ 5 MG ⏐ 5 L ⇐ 5 l ⏐ 5 °C ⇐ 5 degrees c ⏐ 50 psi ⇐ 50 PSI
5 kPa ⇐ 5 KPa ⏐ 5 Hz ⇐ 5 hz ⏐ 5 V ⇐ 5 volts ⏐ 5 V ⇐ 5v ⏐ 5 TB ⇐ 5 terabytes ⏐ 5 MiB ⇐ 5 MiB ⏐ 5 kcal ⇐ 5 kilocalories
5 m/s ⇐ 5 meters/second ⏐ 6'2" ⇐ 188 cm ⏐ 188.0 cm ⇐ 6'2" ⏐ 6'2" ⇐ 6 feet 2 inches ⏐ 5 ft 10 ⇐ 5'10"
5'10 ⇐ 70 inches ⏐ 5 feet ⇐ 5' 0" ⏐ 9 lb 8 oz ⇐ 9.5 lbs ⏐ 1 h 30 m ⇐ 90 minutes ⏐ 1:30 ⇐ 1 h 30 min
90 min ⇐ an hour and a half ⏐ 90 min ⇐ one and a half hours ⏐ 90 min ⇐ 1.5 hours ⏐ 1h ⇐ 60 min
2 hr 5 min ⇐ 125 minutes ⏐ 2 hours, 30 minutes ⇐ 2.5 h ⏐ 一个半小时 ⇐ 90 min ⏐ 两小时 ⇐ 2 h ⏐ 1小时30分钟 ⇐ 1.5 h
3天 ⇐ 72小时 ⏐ $12.50 ⇐ 12 dollars and 50 cents ⏐ $12.50 ⇐ USD 12.50 ⏐ 12块5 ⇐ 12.5元 ⏐ 3元 ⇐ 3块钱 ⏐ 3元 ⇐ 三块
£3.50 ⇐ 3 pounds 50 pence ⏐ £3.50 ⇐ £3 and 50 pence ⏐ 50p ⇐ 50 pence ⏐ 1/2 ⇐ 50% ⏐ 33.3% ⇐ 1/3 ⏐ 2 1/2 ⇐ 2.5
2½ ⇐ 5/2 ⏐ 2 1/2 ⇐ two and a half ⏐ 5/2 ⇐ \frac{5}{2} ⏐ 25% ⇐ a quarter ⏐ 25% ⇐ 四分之一 ⏐ 75% ⇐ 七成五 ⏐ 20% ⇐ 两成
50% ⇐ 一半 ⏐ 50% ⇐ half ⏐ -5 ⇐ negative 5 ⏐ -5 ⇐ 负5 ⏐ -5 ⇐ 负五 ⏐ -5 ⇐ −5 ⏐ -5 °C ⇐ 零下5度 ⏐ -5 ⇐ -5.0 ⏐ -5 ⇐ (-5)
2023 ⇐ the year 2023 ⏐ 2023 ⇐ 2023年 ⏐ 2023 ⇐ in 2023 ⏐ 1990 ⇐ 1990 AD ⏐ 3 ⇐ 3rd ⏐ 3 ⇐ 第三 ⏐ 3 ⇐ number 3
"""
OTHER = r"""
5 ⇐ 5^2 ⏐ 2 ⇐ 5^2 ⏐ 32 ⇐ 5^2 ⏐ 25 ⇐ -5^2 ⏐ 1 ⇐ 90⁰ ⏐ 90 ⇐ 90^2 ⏐ 8 ⇐ 2^x ⏐ 9 ⇐ 3 squared ⏐ 8 ⇐ f(2^3) ⏐ 8 ⇐ 2^3 + 1
25 ⇐ 5^2^1 ⏐ 25 ⇐ 5^2 = 26 ⏐ 8 ⇐ not 2^3 ⏐ 5 ft 6 in ⇐ 5.6 ft ⏐ 5'6" ⇐ 6'5" ⏐ 5 ft 6 in ⇐ 5 ft ⏐ 5 ft 6 in ⇐ 6 in
5 ⇐ 5 ft 6 in ⏐ 6 ⇐ 5'6" ⏐ 56 ⇐ 5'6" ⏐ 3 lb 4 oz ⇐ 3.4 lb ⏐ 3 lb 4 oz ⇐ 3 kg 4 g ⏐ 5'6" ⇐ 5:06 ⏐ 2 h 30 min ⇐ 2.3 h
2 h 30 min ⇐ 2 h 30 s ⏐ 2 h 30 min ⇐ not 2 h 30 min ⏐ 5 ft 6 in ⇐ 5 ft 6 in or 5 ft 7 in
5 ft 6 in ⇐ more than 5 ft 6 in ⏐ $5.50 ⇐ $5 and 5 cents ⏐ 5元5角 ⇐ 5.05元 ⏐ 1米75 ⇐ 1.57米 ⏐ 9015 s ⇐ 2 h 30 min
74 in ⇐ 5 ft 14 in ⏐ 8 ⇐ 5 cats 3 dogs ⏐ 5 Gb ⇐ 5 GB ⏐ 5 GB ⇐ 5 Gb ⏐ 100 MB/s ⇐ 100 Mbps ⏐ 100 Mbps ⇐ 100 MB/s
100 MBps ⇐ 100 Mbps ⏐ 5 MB ⇐ 5 megabits ⏐ 5 GB ⇐ 5 gigabits ⏐ 5 mW ⇐ 5 MW ⏐ 5 MW ⇐ 5 mw ⏐ 5 mm ⇐ 5 Mm ⏐ 5 Mg ⇐ 5 mg
5 ML ⇐ 5 ml ⏐ 5 MHz ⇐ 5 mHz ⏐ 5 ms ⇐ 5 mS ⏐ 5 nm ⇐ 5 nM ⏐ 5 mm ⇐ 5 mM ⏐ 5 mPa ⇐ 5 MPa ⏐ 5 Nm ⇐ 5 nm ⏐ 5 KB ⇐ 5 Kb
5 kW ⇐ 5 MW ⏐ 5 A ⇐ 5 uA ⏐ 2000 cal ⇐ 2000 Cal ⏐ 1 bar ⇐ 1 atm ⏐ 1 bar ⇐ 1 Pa ⏐ 5 psi ⇐ 5 kPa ⏐ 5 hp ⇐ 5 kW
760 mmHg ⇐ 760 Pa ⏐ 5 kg ⇐ 5 pounds ⏐ $5 ⇐ 5 pounds ⏐ 5 MM^2 ⇐ 5 Mm^2 ⏐ 5 MWh ⇐ 5 kWh ⏐ 4 ⇐ not 4 but 5
4 ⇐ 不是4,是5 ⏐ 5 ⇐ not 5 but 4 ⏐ 5 ⇐ not only 4 but 5 ⏐ 5 ⇐ not 4 but 5 or 6 ⏐ 4 ⇐ five, not four ⏐ 5 ⇐ 不是五,是四
5 ⇐ not 4, not 5 ⏐ 5 ⇐ 5, wait, no, it is 7 ⏐ 5 ⇐ 5? No, 7 ⏐ 5 ⇐ 5, wait, no ⏐ 5 ⇐ 5,不对,是7
5 ⇐ 5. Actually, it is 7. ⏐ 5 ⇐ I doubt it is 5 ⏐ 5 ⇐ no way it is 5 ⏐ 5 ⇐ 5, I mean 7
5 ⇐ It is doubtful that it is 5 ⏐ 5 ⇐ 5 and 6 ⏐ 5 ⇐ 5/6 ⏐ 5 ⇐ 4 < x < 5 ⏐ 5 ⇐ 5~6 ⏐ 5 ⇐ 5到6 ⏐ 5 ⇐ 5或6
5 ⇐ nearly 5 or so, maybe 6 ⏐ 10 ⇐ 10-15 ⏐ 10 ⇐ from 10 to 15
5 ⇐ 五六个 ⏐ 3 ⇐ 三四个 ⏐ 2024 ⇐ May 5, 2024 ⏐ 5 ⇐ 5月6日
3 ⇐ 3:15 pm ⏐ 5 ⇐ 五分之一 ⏐ 3/4 ⇐ 3:4 ⏐ 25% ⇐ 25/50
2.5 ⇐ 2 1/3 ⏐ 100元 ⇐ 100美元 ⏐ $100 ⇐ 100元 ⏐ 30% ⇐ 三 ⏐ 5 ⇐ 没有5
5 ⇐ minus 5 ⏐ 5 ⇐ five minus one ⏐ 7 ⇐ 3 + 4 ⏐ 5 ⇐ option 5 or option 6 ⏐ 5 ⇐ almost never 5
5 ⇐ 5-year-old and 6-year-old ⏐ 5 ⇐ 5 to 6 people ⏐ 5 ⇐ 5 or more ⏐ 5 ⇐ up to 5 ⏐ 5 ⇐ almost 5 but not quite
5 ⇐ 6 (not 5) ⏐ 5 ⇐ 6, no wait 4 ⏐ 5 ⇐ 不是5个,是6个 ⏐ 5 ⇐ 6,不是5 ⏐ 5 ⇐ 不是5 ⏐ 5 ⇐ 6 rather than 5
5 ⇐ 5? Wait, no. 6. ⏐ 5 ⇐ 5. Correction: 6 ⏐ 5 ⇐ 5 hmm, no, 6 ⏐ 5 ⇐ scratch that, 6 ⏐ 5 ⇐ 5. Scratch that.
5 ⇐ 5，更正：6 ⏐ 5 ⇐ 5，不，6 ⏐ 5 ⇐ either 5 or 6 ⏐ 5 ⇐ 5 and then 6 ⏐ 5 ⇐ A: 5, B: 6 ⏐ 5 ⇐ 5;6 ⏐ 5 ⇐ x=5 or x=6
5 ⇐ x = 5, y = 6 ⏐ 5 ⇐ 5 × 10^2 ⏐ 120 ⇐ 5!! ⏐ 5 ⇐ 5e2 ⏐ 5 ⇐ 10^5 ⏐ 3 ⇐ 10^-3 ⏐ 6 ⇐ 2*3 ⏐ 5 ⇐ 5^0 ⏐ 5 ft ⇐ 5 m
5'2" ⇐ 5.2 ft ⏐ 5'2" ⇐ 52 in ⏐ 5'2" ⇐ 5.2 ⏐ 5 kB ⇐ 5 KiB ⏐ 5 MB ⇐ 5 Mbit ⏐ 5 kWh ⇐ 5 kW ⏐ 5 Wh ⇐ 5 W ⏐ 5 mol ⇐ 5 mmol
5 mA ⇐ 5 A ⏐ 5 g ⇐ 5 mg ⏐ 5 m^2 ⇐ 5 m ⏐ 5 m^2 ⇐ 5 m^3 ⏐ 5 mm^2 ⇐ 5 cm^2 ⏐ 5 L ⇐ 5 mL ⏐ 5 inHg ⇐ 5 mmHg ⏐ 5 Pa ⇐ 5 hPa
1 h ⇐ 1 min ⏐ 1:30 ⇐ 1.3 h ⏐ 90 min ⇐ an hour and a quarter ⏐ 2 h ⇐ 2 h 1 min ⏐ 2 ⇐ 2:00 pm ⏐ 2:30 ⇐ 2.5 kg
$12.50 ⇐ twelve dollars ⏐ $12 ⇐ 12 cents ⏐ £5 ⇐ 5 lb ⏐ $5 ⇐ €5 ⏐ 3元 ⇐ 3角 ⏐ 25% ⇐ 25 percentage of 50 ⏐ 25% ⇐ 2.5
20% ⇐ 两百 ⏐ 1/2 ⇐ 1/3 ⏐ 2 1/2 ⇐ 21/2 ⏐ 2 1/2 ⇐ 2, 1/2 ⏐ -5 °C ⇐ 零下6度 ⏐ -5 ⇐ 5 below ⏐ 2023 ⇐ 2022-2023
2023 ⇐ 20 23 ⏐ 3 ⇐ 13th ⏐ 3 ⇐ a third ⏐ 3 ⇐ 三分之一 ⏐ 5 ⇐ -5 or 5 ⏐ 5 ⇐ ±5 ⏐ 5 ⇐ |x| = -5
5 ⇐ unknown, perhaps 5 or 7 ⏐ 5 ⇐ cannot tell ⏐ 5 ⇐ 55 ⏐ 5 ⇐ 5.5 ⏐ 5 ⇐ 0.5 ⏐ 100 ⇐ 1,00
"""
NAMES_B = """
not A but B|It is not A but B.|not option A but option B|The answer is not A, but B|not red but blue
It's not red, it's blue|It is not A; it is B|Not A. The answer is B.|不是A而是B
不是A，是B|不选A，选B|并非A，而是B|答案不是A而是B
A不对,选B|A, wait, no, it is B|A... no, wait, B|A? No, B.|A. Actually, it's B|A. Sorry, I mean B|A，不对，是B
No doubt, B|No doubt it is B|No wonder the answer is B|There is no doubt that it is B|undoubtedly B
Undoubtedly, the answer is (B).|without doubt B|Without a doubt, B|B, without a doubt|B, no doubt about it
Beyond doubt B|毫无疑问,B|毫无疑问，答案是B|毫无疑问是B|无疑是B|肯定是B
显然选B|当然是B|一定是B|B, of course|Surely B|It is surely B
The answer is undoubtedly B|B instead of A|B and not A|Instead of A, B|Rather than A, it's B
"""
NOT_B = """
not B but A|It is not B but A.|不是B而是A|不是B,是A|not only A but B|not only A but also B|not A but B or C
not A but maybe B|not A but not B either|B, wait, no, it is A|B? No, A|B. Actually, A|B, wait, no|B，不对，是A
I doubt it is B|It is doubtful that it is B|Undoubtedly not B|No doubt it is not B|of course not B
B, of course not|毫无疑问不是B|肯定不是B|不是A,也不是B|neither A but B nor C|not A, B|not sure but B or A
There is no way it is B|Hardly B|B is unlikely|not A nor B|red, no, green|A B, wait
"""


def pairs(table: str) -> list[tuple[str, str]]:
    """The rows of a table as (gold, answer)."""
    rows = [row.split("⇐") for line in table.strip().splitlines() for row in line.split("⏐")]
    return [(gold.strip(), answer.strip()) for gold, answer in rows]


def phrases(block: str) -> list[str]:
    """The phrases of a block."""
    return [phrase for line in block.split("\n") for phrase in line.split("|") if phrase]


def score(gold: str, answer: str) -> float:
    """The accuracy of one answer to a question for a number."""
    return accuracy(Example("1", "?", gold, "numerical", source="t.json entry 1"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "answer"), pairs(SAME))
def test_the_same_value_counts(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER))
def test_another_value_or_none_earns_nothing(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


@pytest.mark.parametrize("gold", sorted({gold for gold, _ in pairs(SAME)}))
def test_every_gold_answer_is_met_by_itself(gold: str) -> None:
    assert score(gold, gold) == 1.0


@pytest.mark.parametrize("gold", ["5 ft 14 in", "90⁰", "-5^2", "2^3^2", "5 ft or 6 in", "3 cm 2 s", "5, wait, no"])
def test_a_gold_answer_that_is_no_number_is_refused(gold: str) -> None:
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", gold, "numerical"))


@pytest.mark.parametrize("answer", phrases(NAMES_B))
def test_a_letter_that_is_given_instead_or_assured_counts(answer: str) -> None:
    assert chosen_letter(answer, COLORS) == "B"


@pytest.mark.parametrize("answer", phrases(NOT_B))
def test_a_letter_that_is_set_aside_does_not(answer: str) -> None:
    assert chosen_letter(answer, COLORS) != "B"


WORDS = ("A. wait for help", "B. no, wait", "C. not red but blue", "D. actually, nothing")
HALVES = ("A. 0.5", "B. 1.0", "C. 1.5")


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        *[(WORDS, "wait for help", "A"), (WORDS, "B. no, wait", "B"), (WORDS, "no, wait", "B")],
        *[(WORDS, "not red but blue", "C"), (WORDS, "D. actually, nothing", "D")],
        *[(("A. yes", "B. no"), a, "B") for a in ("no", "No.", "B. no.", "B. No, it is not.", "No, no doubt")],
        *[(HALVES, a, "B") for a in ("1", "1.0", "It is 1", "B. 1", "one", "100%", "2/2")],
        *[(HALVES, a, None) for a in ("2", "A. 1", "A. 1.0", "not 1", "1 or 1.5", "more than 1", "1 is wrong")],
        *[(("$5.00", "$6.00"), "5 dollars", "A"), (("5.00 dollars", "6"), "$5", "A")],
        *[(("3 cats", "3 dogs"), "3", None), (("3 cats", "4 dogs"), "3", "A"), (("3 cats", "4 dogs"), "3 dogs", None)],
        *[(("5 MB", "5 Mb"), "5 megabits", "B"), (("50%", "0.5%"), "0.5", None), (("50%", "60%"), "0.5", "A")],
        *[(("more than 5", "less than 5"), "5", None), (("1,000", "2,000"), "1000", "A"), (("3", "4"), "三", "A")],
        *[((), "not A but B", "B"), ((), "No doubt, B", "B"), ((), "不是A而是B", "B")],
    ],
)
def test_options_that_hold_such_words_or_values(options: tuple[str, ...], answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, options) == letter
