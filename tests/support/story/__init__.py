"""One story of metering: clients that count, real programs, and everything that can go wrong between them.

steps       what a story is made of, drawn by hypothesis
books       what the clients and the network know: the figures that the ledger must have
wire        the network between relays and statistics: repeats, shuffles, cuts
pod         one relay with its disk, its clock and its visitors
world       all of it, and each step carried out
"""
