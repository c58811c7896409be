"""Can the number be believed?"""
